"""Judges the gallery and prints what docs/gallery.md holds: ``python -m suites.gallery [--half HALF] [--peers]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from suites.gallery.judge import judge_all
from suites.gallery.page import page
from suites.gallery.peers import ENVIRONMENT, INSTALL, ask, installed
from suites.gallery.program import HALVES
from suites.gallery.recorded import CACHE, ROOT
from suites.gallery.table import JudgedHalf

PAGE = ROOT / "docs" / "gallery.md"


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m suites.gallery", description=__doc__)
    parser.add_argument("--half", choices=(*HALVES, "all"), default="tuning", help="default: %(default)s")
    parser.add_argument("--peers", action="store_true", help="ask other tools, too; once before: " + INSTALL)
    parser.add_argument("--only", metavar="NAME", action="append", default=[], help="this program; may be repeated")
    parser.add_argument("--folder", type=Path, default=CACHE, help="where recorded programs are kept")
    parser.add_argument("--jobs", type=int, help="processes (default: one a core)")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}, too")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = options_of(arguments)
    if options.peers and not installed():
        print(f"{ENVIRONMENT} does not hold the other tools: {INSTALL}", file=sys.stderr)
        return 2
    halves = []
    for name in HALVES if options.half == "all" else (options.half,):
        judged = judge_all(name, only=options.only, folder=options.folder, jobs=options.jobs)
        halves.append(JudgedHalf(name, judged, ask(judged) if options.peers else {}))
    if not any(half.judgements for half in halves):
        print(f"no such program: {', '.join(options.only)}", file=sys.stderr)
        return 2
    text = page(halves, arguments)
    print(text, end="")
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
