"""Lines that fit a person's terminal, cut between words; elsewhere a line stays whole, for those who search."""

from __future__ import annotations

import textwrap


def wrapped(line: str, width: int | None) -> list[str]:
    """The line cut between words at ``width``; what follows is indented like its beginning, or by 2; None: whole."""
    if width is None or len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip(" -"))) or "  "
    return textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
