"""``lvmcheck report``: runs as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from lvmcheck.commands._exit import PASSED
from lvmcheck.commands._reading import add_reading, read_run
from lvmcheck.text.say import say

HELP = "runs, their verdicts and causes as one HTML file"
EXAMPLE = "lvmcheck report .lvmcheck/runs -o report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN", help="runs, or folders that hold run directories")
    add_reading(parser)
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE")


def run(options: argparse.Namespace) -> int:
    from lvmcheck.checks.wording import plural
    from lvmcheck.errors import InputError
    from lvmcheck.report.html.page import write_report
    from lvmcheck.report.html.report_run import runs_at

    if options.output.is_dir():
        raise InputError(options.output, "expected a file to write the report to, got a folder")
    runs = runs_at(options.paths, lambda path: read_run(path, options))
    size = write_report(options.output, runs)
    say(f"{options.output}: {plural(len(runs), 'run')}, {size:,} bytes")
    return PASSED
