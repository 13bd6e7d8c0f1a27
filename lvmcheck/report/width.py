"""Lines that fit a person's terminal, cut between words; elsewhere a line stays whole, for those who search."""

from __future__ import annotations

import io
import textwrap

from _pytest._io import TerminalWriter


def never_fail(tw: TerminalWriter) -> None:
    """Has a terminal that knows no ✓ or · print something in its place instead of ending the session."""
    if isinstance(tw._file, io.TextIOWrapper) and tw._file.errors == "strict":
        tw._file.reconfigure(errors="replace")


def wrapped(line: str, tw: TerminalWriter) -> list[str]:
    """The line cut between words where a person's terminal ends; what follows is indented like its beginning."""
    if not tw.hasmarkup or len(line) <= tw.fullwidth:
        return [line]
    indent = " " * (len(line) - len(line.lstrip(" -")))
    return textwrap.wrap(
        line,
        tw.fullwidth,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
