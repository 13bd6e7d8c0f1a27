"""``python -m suites.gallery.tenth FOLDER [--watch | --found] [NAME ...]``: records the tenth set and judges it."""

from __future__ import annotations

import sys
from pathlib import Path

from suites.gallery.unseen_set import main

main(Path(__file__).parent, sys.argv[1:])
