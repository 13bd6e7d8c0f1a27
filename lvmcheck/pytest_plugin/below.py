"""Lines below the line that pytest is writing, which stays as it is: results of tests go on in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lvmcheck.pytest_plugin.pytest_api import column, write_raw
from lvmcheck.text.fit import fit_line

CLEAR_LINE, CLEAR_REST = "\x1b[2K", "\x1b[J"


class Below:
    """A block that is drawn anew in its place, and leaves nothing behind."""

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter
        self._lines = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines in place of the ones before; one that is wider than the screen would break the block."""
        at = column(self._reporter)
        body = "\n".join(f"\r{CLEAR_LINE}{fit_line(line)}" for line in lines)
        below = 1 if at else 0
        up = len(lines) - 1 + below
        text = ("\n" if below else "") + body + CLEAR_REST + (f"\x1b[{up}A" if up else "")
        write_raw(self._reporter, f"{text}\r{_right(at)}")
        self._lines = len(lines)

    def clear(self) -> None:
        """Take the block away; the cursor is where pytest left it."""
        if not self._lines:
            return
        at = column(self._reporter)
        write_raw(self._reporter, f"\n{CLEAR_REST}\x1b[1A\r{_right(at)}" if at else f"\r{CLEAR_REST}")
        self._lines = 0


def _right(columns: int) -> str:
    return f"\x1b[{columns}C" if columns else ""
