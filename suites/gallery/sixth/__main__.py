"""``python -m suites.gallery.sixth FOLDER [--watch] [NAME ...]``: records the sixth set and judges it."""

from __future__ import annotations

import sys
from pathlib import Path

from suites.gallery.unseen_set import main

main(Path(__file__).parent, sys.argv[1:])
