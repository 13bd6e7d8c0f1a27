"""The only place of lvmcheck that prints: no control byte and no command to a runner reaches a terminal or a log."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from lvmcheck.text.fit import fit_lines


def say(*lines: object) -> None:
    """Each of the texts as one line of standard output, and at once."""
    print(fit_lines(lines), flush=True)


def complain(*lines: object, out: TextIO | None = None) -> None:
    """Each of the texts as one line of standard error, and at once."""
    where = sys.stderr if out is None else out
    if where is not None:  # closed before this process began; print would take the standard output for it
        print(fit_lines(lines), file=where, flush=True)


def say_json(body: Any, **how: Any) -> None:
    """JSON in ASCII, in which nothing is a command: ``##[`` is written with an escape, which reads as the same text."""
    print(json.dumps(body, indent=1, allow_nan=False, **how).replace("##", r"\u0023#"), flush=True)


def command(line: str) -> None:
    """A command to a runner, whose parts :func:`lvmcheck.report.machine.annotations.command` has escaped."""
    print(line, flush=True)
