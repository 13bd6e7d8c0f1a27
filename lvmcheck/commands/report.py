"""``lvmcheck report``: runs as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from lvmcheck.commands._reading import add_reading, read_run


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command of this file to the parser's."""
    report = commands.add_parser("report", help="runs, their verdicts and causes as one HTML file")
    report.add_argument("paths", nargs="+", type=Path, metavar="RUN", help="runs, or folders that hold run directories")
    add_reading(report)
    report.add_argument("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE")
    report.set_defaults(command=run_report)


def run_report(options: argparse.Namespace) -> int:
    from lvmcheck.errors import InputError
    from lvmcheck.report.html.page import write_report
    from lvmcheck.report.html.subject import subjects_at

    if options.output.is_dir():
        raise InputError(options.output, "expected a file to write the report to, got a folder")
    subjects = subjects_at(options.paths, lambda path: read_run(path, options))
    size = write_report(options.output, subjects)
    print(f"{options.output}: {len(subjects)} run{'' if len(subjects) == 1 else 's'}, {size:,} bytes")
    return 0
