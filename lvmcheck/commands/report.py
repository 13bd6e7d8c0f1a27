"""``lvmcheck report``: runs, or two git revisions of a suite, as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.commands._exit import PASSED
from lvmcheck.commands._reading import add_reading, read_run
from lvmcheck.errors import InputError
from lvmcheck.text.say import say

if TYPE_CHECKING:
    from lvmcheck.report.html.report_run import ReportRun

HELP = "runs, or two git revisions of a suite, with verdicts and causes as one HTML file"
EXAMPLE = "lvmcheck report .lvmcheck/runs -o report.html"
EXITS = {PASSED: "written, whatever the verdicts"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "runs, or folders that hold run directories; with --suite two git revisions"
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN", help=what)
    parser.add_argument("--suite", type=Path, help="train this suite at two git revisions, and show both")
    parser.add_argument("--seeds", metavar="LIST", help="with --suite: seeds to train, such as 0,1,2")
    parser.add_argument("--profile", help="with --suite: profile of the suite")
    add_reading(parser)
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE")


def run(options: argparse.Namespace) -> int:
    from lvmcheck.checks.wording import plural
    from lvmcheck.report.html.page import write_report
    from lvmcheck.report.html.report_run import runs_at

    if options.output.is_dir():
        raise InputError(options.output, "expected a file to write the report to, got a folder")
    if options.suite is None and (options.seeds or options.profile):
        raise InputError("--seeds" if options.seeds else "--profile", "expected --suite beside it")
    paths = [path for path in options.paths if path.suffix != ".lock"]  # which a pattern of the shell finds, too
    runs, sides = (
        (runs_at(paths or options.paths, lambda path: read_run(path, options)), [])
        if options.suite is None
        else _revisions(options)
    )
    size = write_report(options.output, runs, sides=sides)
    say(f"{options.output}: {plural(len(runs), 'run')}, {size:,} bytes")
    return PASSED


def _revisions(options: argparse.Namespace) -> tuple[tuple[ReportRun, ...], list[str]]:
    """Runs of the suite at two revisions, each with the name of its revision."""
    from dataclasses import replace

    from lvmcheck.comparison.revisions import side_at
    from lvmcheck.report.html.report_run import distinct, report_run

    if len(options.paths) != 2:
        raise InputError("--suite", f"expected two git revisions, got {len(options.paths)}")
    found, names = [], []
    for path in options.paths:
        one = side_at(str(path), options.suite, seeds=options.seeds, profile=options.profile)
        for run in one.repeats:
            item = report_run(run)
            found.append(replace(item, label=f"{path} {item.label}"))
            names.append(one.name)
    return distinct(found), names
