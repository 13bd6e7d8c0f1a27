"""Commands about several runs: ``compare``, ``reference`` and ``calibrate``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.errors import InputError
from lvmcheck.run.events import spell

if TYPE_CHECKING:
    from lvmcheck.comparison.sides import Side

SAME, WORSE, UNTESTABLE = 0, 1, 125
"""Exit codes of ``compare``; 125 is git bisect's word for a revision that cannot be tested."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the commands of this file to the parser's."""
    compare = commands.add_parser("compare", help="two runs, or two git revisions of a suite, side by side")
    compare.add_argument("a", help="a run, or with --suite a git revision: the good one")
    compare.add_argument("b", help="another: the one in question")
    compare.add_argument("--suite", type=Path, help="train this suite at both git revisions")
    compare.add_argument("--seeds", metavar="LIST", help="with --suite: seeds to train, such as 0,1,2")
    compare.add_argument("--profile", help="with --suite: profile of the suite")
    compare.add_argument("--noise", type=float, metavar="SD", help="spread between repeats, where there are none")
    compare.add_argument("--alone", action="store_true", help="do not look for repeats with other seeds")
    compare.add_argument("--bisect", action="store_true", help="exit 125 where nothing can be said (git bisect run)")
    compare.add_argument("--json", action="store_true", help="the comparison as JSON")
    compare.set_defaults(command=run_compare)
    reference = commands.add_parser("reference", help="reference bands: show, diff, prune, power")
    what = reference.add_subparsers(metavar="WHAT", required=True)
    show = what.add_parser("show", help="what a reference holds")
    show.add_argument("path", type=Path)
    show.set_defaults(command=run_show)
    diff = what.add_parser("diff", help="what differs between two references")
    diff.add_argument("old", type=Path)
    diff.add_argument("new", type=Path)
    diff.set_defaults(command=run_diff)
    prune = what.add_parser("prune", help="list references without a suite or profile; --yes deletes them")
    prune.add_argument("--yes", action="store_true")
    prune.set_defaults(command=run_prune)
    power = what.add_parser("power", help="false alarms and detections of bands, simulated")
    power.add_argument("--seeds", default="3,5,8", metavar="LIST", help="sizes of the reference (default: 3,5,8)")
    power.add_argument("--rounds", type=int, default=400, metavar="N", help="runs judged a line (default: 400)")
    power.add_argument("--spread", type=float, default=1e-3, metavar="SD", help="between seeds (default: 0.001)")
    power.set_defaults(command=run_power)
    calibrate = commands.add_parser("calibrate", help="propose floors of a suite from the spread of its seeds")
    calibrate.add_argument("suite", type=Path, help="folder or file of the suite")
    calibrate.add_argument("--seeds", type=int, default=8, metavar="N", help="seeds to train (default: 8)")
    calibrate.add_argument("--rate", type=float, default=0.01, help="false alarms a floor may raise (default: 0.01)")
    calibrate.add_argument("--profile", help="profile of the suite")
    calibrate.set_defaults(command=run_calibrate)


def run_compare(options: argparse.Namespace) -> int:
    from lvmcheck.comparison.report import compare, screen, to_json

    if options.suite is None and (options.seeds or options.profile):
        raise InputError("--seeds" if options.seeds else "--profile", "expected --suite beside it")
    try:
        found = compare(_side(options.a, options), _side(options.b, options), noise=options.noise)
    except InputError as problem:
        if not options.bisect:
            raise
        print(problem)
        return UNTESTABLE
    if options.json:
        print(json.dumps(spell(to_json(found)), indent=1, allow_nan=False, default=str))
    else:
        print("\n".join(screen(found)))
    if options.bisect and found.worse is None:
        return UNTESTABLE
    return WORSE if found.worse else SAME


def _side(name: str, options: argparse.Namespace) -> Side:
    if options.suite is not None:
        from lvmcheck.comparison.revisions import side_at

        return side_at(name, options.suite, seeds=options.seeds, profile=options.profile)
    from lvmcheck.comparison.sides import side

    return side(name, alone=options.alone)


# -- references --------------------------------------------------------------------------------------------------------
def run_show(options: argparse.Namespace) -> int:
    from lvmcheck.comparison.reference.show import lines
    from lvmcheck.statistics.reference_file import read

    print("\n".join(lines(read(options.path))))
    return SAME


def run_diff(options: argparse.Namespace) -> int:
    from lvmcheck.comparison.reference.make import changes
    from lvmcheck.statistics.reference_file import read

    found = changes(read(options.old), read(options.new))
    print("\n".join(found or ["equal"]))
    return WORSE if found else SAME


def importable() -> None:
    """Lets suites name trainers of the working directory, as pytest's ``pythonpath`` does for it."""
    if os.getcwd() not in sys.path:  # noqa: PTH109 - entries of sys.path are strings
        sys.path.insert(0, os.getcwd())  # noqa: PTH109


def run_prune(options: argparse.Namespace) -> int:
    from lvmcheck.launch.prune import orphans

    importable()
    found = orphans(Path.cwd())
    for path, why in found:
        print(f"{'deleted ' if options.yes else ''}{path}: {why}")
        if options.yes:
            path.unlink()
    print(f"{len(found)} without use" + ("" if options.yes or not found else "; --yes deletes them"))
    return SAME


def run_power(options: argparse.Namespace) -> int:
    from lvmcheck.statistics.simulate import HEADER, table

    sizes = [int(word) for word in options.seeds.split(",") if word.strip().isdigit()]
    if not sizes or min(sizes) < 2 or options.rounds < 1 or not options.spread > 0:
        raise InputError("reference power", "expected sizes of at least 2, a positive spread and at least 1 round")
    print(HEADER)
    for row in table(sizes, (0.05, 0.01), (0.0, 0.005, 0.01), rounds=options.rounds, spread=options.spread):
        print(row.sentence(), flush=True)
    return SAME


def run_calibrate(options: argparse.Namespace) -> int:
    from lvmcheck.comparison.calibrate import calibrate

    importable()
    for line in calibrate(options.suite, seeds=options.seeds, rate=options.rate, profile=options.profile):
        print(line, flush=True)
    return SAME
