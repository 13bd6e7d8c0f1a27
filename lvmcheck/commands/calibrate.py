"""``lvmcheck calibrate``: bounds of a suite from the spread of its seeds, and the planted faults that each catches."""

from __future__ import annotations

import argparse
from pathlib import Path

from lvmcheck.commands._exit import PASSED
from lvmcheck.commands._reading import make_importable
from lvmcheck.errors import InputError
from lvmcheck.text.say import complain, say

HELP = "propose bounds of a suite from the spread of its seeds, and show which planted faults each check catches"
EXAMPLE = "lvmcheck calibrate suites/amn_790k --seeds 8"
EXITS = {PASSED: "proposed"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", type=Path, help="folder or file of the suite")
    parser.add_argument("--seeds", type=int, default=8, metavar="N", help="seeds to train (default: 8)")
    parser.add_argument("--rate", type=float, default=0.01, help="false alarms a bound may raise (default: 0.01)")
    parser.add_argument("--profile", help="profile of the suite")
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="for training with planted faults, kept for later (default: 10)"
    )


def run(options: argparse.Namespace) -> int:
    from lvmcheck.comparison.calibrate import HOME, calibrated, known_failures, loaded, train
    from lvmcheck.selftest.planted import planted_runs

    if not 0 <= options.minutes < 10_000:
        raise InputError("--minutes", f"expected 0 or more, got {options.minutes:g}")
    make_importable()
    suite = loaded(options.suite, options.profile, seeds=options.seeds, rate=options.rate)
    runs = train(suite, options.seeds)
    planted = planted_runs(suite, runs[0], HOME.absolute(), minutes=options.minutes, tell=complain)
    for line in calibrated(suite, runs, {**known_failures(), **planted}, options.rate):
        say(line)
    return PASSED
