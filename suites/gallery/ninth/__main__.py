"""``python -m suites.gallery.ninth FOLDER [--watch | --found] [NAME ...]``: records the ninth set and judges it."""

from __future__ import annotations

import sys
from pathlib import Path

from suites.gallery.unseen_set import main

main(Path(__file__).parent, sys.argv[1:])
