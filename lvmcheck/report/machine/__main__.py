"""``python -m lvmcheck.report.machine REPORT.json --markdown FILE``: other renderings of a report that was written."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.report.machine import json_report
from lvmcheck.report.machine.outputs import RENDERERS, Outputs
from lvmcheck.text.say import command, complain

KINDS = [kind for kind in RENDERERS if kind != "json"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 2 when the report cannot be used or a file cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m lvmcheck.report.machine")
    parser.add_argument("report", type=Path, help="what --lvm-json has written")
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE")
    parser.add_argument("--summary", type=Path, metavar="FILE", help='append a summary: "$GITHUB_STEP_SUMMARY"')
    parser.add_argument("--annotations", action="store_true", help="print workflow commands of GitHub")
    options = parser.parse_args(arguments)
    files = {kind: path for kind in KINDS if (path := getattr(options, kind)) is not None}
    try:
        for line in Outputs(files, options.summary, options.annotations).end(json_report.read(options.report)):
            command(line)
    except InputError as problem:
        complain(problem)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
