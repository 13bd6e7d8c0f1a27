"""``lvmcheck calibrate``: floors of a suite from the spread of its seeds."""

from __future__ import annotations

import argparse
from pathlib import Path

from lvmcheck.commands._exit import PASSED
from lvmcheck.commands._reading import make_importable
from lvmcheck.text.say import say

HELP = "propose floors of a suite from the spread of its seeds"
EXAMPLE = "lvmcheck calibrate suites/amn_790k --seeds 8"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", type=Path, help="folder or file of the suite")
    parser.add_argument("--seeds", type=int, default=8, metavar="N", help="seeds to train (default: 8)")
    parser.add_argument("--rate", type=float, default=0.01, help="false alarms a floor may raise (default: 0.01)")
    parser.add_argument("--profile", help="profile of the suite")


def run(options: argparse.Namespace) -> int:
    from lvmcheck.comparison.calibrate import calibrate

    make_importable()
    for line in calibrate(options.suite, seeds=options.seeds, rate=options.rate, profile=options.profile):
        say(line)
    return PASSED
