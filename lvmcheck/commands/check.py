"""``lvmcheck check``: verdicts on a recorded run."""

from __future__ import annotations

import argparse
import json

from lvmcheck.checks.verdict_json import verdict_json
from lvmcheck.commands._judging import add_judging, exit_code, print_rest, print_verdicts, verdicts_on
from lvmcheck.commands._reading import run_of

HELP = "judge a recorded run"
EXAMPLE = "lvmcheck check fixtures/runs/amn_790k_attempt_2 --suite suites/amn_790k"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_judging(parser)
    parser.add_argument("--json", action="store_true", help="verdicts as JSON")


def run(options: argparse.Namespace) -> int:
    recorded = run_of(options)
    verdicts = verdicts_on(recorded, options)
    if options.json:
        print(json.dumps([verdict_json(item) for item in verdicts], indent=1, allow_nan=False))
    else:
        print_verdicts(verdicts, verbose=options.verbose)
        print_rest(recorded, verdicts, verbose=options.verbose)
    return exit_code(verdicts, strict=options.strict)
