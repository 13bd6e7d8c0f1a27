"""``lvmcheck reference``: reference bands of suites: show, diff, prune, power."""

from __future__ import annotations

import argparse
from pathlib import Path

from lvmcheck.commands._exit import FAILED, PASSED
from lvmcheck.commands._reading import make_importable
from lvmcheck.errors import InputError
from lvmcheck.text.say import say

HELP = "reference bands: show, diff, prune, power"
EXAMPLE = "lvmcheck reference show fixtures/references/example/smoke-cpu.toml"
EXITS = {PASSED: "done, or equal", FAILED: "diff: the references differ"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(metavar="WHAT", required=True)
    show = what.add_parser("show", help="what a reference holds")
    show.add_argument("path", type=Path)
    show.set_defaults(action=_show)
    diff = what.add_parser("diff", help="what differs between two references")
    diff.add_argument("old", type=Path)
    diff.add_argument("new", type=Path)
    diff.set_defaults(action=_diff)
    prune = what.add_parser("prune", help="list references without a suite or profile; --yes deletes them")
    prune.add_argument("--yes", action="store_true")
    prune.set_defaults(action=_prune)
    power = what.add_parser("power", help="false alarms and detections of bands, simulated")
    power.add_argument("--seeds", default="3,5,8", metavar="LIST", help="sizes of the reference (default: 3,5,8)")
    power.add_argument("--rounds", type=int, default=400, metavar="N", help="runs judged a line (default: 400)")
    power.add_argument("--spread", type=float, default=1e-3, metavar="SD", help="between seeds (default: 0.001)")
    power.set_defaults(action=_power)


def run(options: argparse.Namespace) -> int:
    code: int = options.action(options)
    return code


def _show(options: argparse.Namespace) -> int:
    from lvmcheck.comparison.reference.show import lines
    from lvmcheck.statistics.reference_file import read

    say(*lines(read(options.path)))
    return PASSED


def _diff(options: argparse.Namespace) -> int:
    from lvmcheck.comparison.reference.make import changes
    from lvmcheck.statistics.reference_file import read

    found = changes(read(options.old), read(options.new))
    say(*found or ["equal"])
    return FAILED if found else PASSED


def _prune(options: argparse.Namespace) -> int:
    from lvmcheck.launch.prune import orphans

    make_importable()
    found = orphans(Path.cwd())
    for path, why in found:
        say(f"{'deleted ' if options.yes else ''}{path}: {why}")
        if options.yes:
            path.unlink()
    say(f"{len(found)} without use" + ("" if options.yes or not found else "; --yes deletes them"))
    return PASSED


def _power(options: argparse.Namespace) -> int:
    from lvmcheck.statistics.simulate import HEADER, table

    sizes = [int(word) for word in options.seeds.split(",") if word.strip().isdigit()]
    if not sizes or min(sizes) < 2 or options.rounds < 1 or not options.spread > 0:
        raise InputError("reference power", "expected sizes of at least 2, a positive spread and at least 1 round")
    say(HEADER)
    for row in table(sizes, (0.05, 0.01), (0.0, 0.005, 0.01), rounds=options.rounds, spread=options.spread):
        say(row.sentence())
    return PASSED
