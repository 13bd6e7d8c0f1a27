"""``lvmcheck``: judge runs and data, diagnose and explain from the command line. A command is one module here."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from lvmcheck import __version__
from lvmcheck.commands._exit import BAD_INPUT, FAILED, INTERNAL, NO_READER, PASSED
from lvmcheck.text.commands import CommandLine

EXITS = {
    PASSED: "nothing failed",
    FAILED: "something failed",
    BAD_INPUT: "bad input",
    INTERNAL: "internal error",
    NO_READER: "the reader of the output is gone",
}
LINE = CommandLine(
    package=__package__,
    folder=Path(__file__).parent,
    prog="lvmcheck",
    about="pytest for training runs",
    exits=EXITS,
    version=f"lvmcheck {__version__}",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    if arguments is None:  # a process of its own: nothing that is loaded once is looked through for cycles again
        gc.set_threshold(100_000, 50, 100)
    return LINE.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
