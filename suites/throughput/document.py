"""docs/performance.md: what stands between its two marks is replaced by what a complete session measured."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from lvmcheck.errors import InputError

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
FILES = frozenset(path.name for path in Path(__file__).parent.glob("test_*.py"))


def incomplete(status: int, deselected: int, files: Sequence[str]) -> str | None:
    """Why what was measured must not replace a document, or None.

    Args:
        status: of the session. deselected: tests left out by choice. files: names of those whose tests ran.
    """
    if status:
        return "a measurement is missing or failed"
    missing = sorted(FILES - set(files))
    if deselected or missing:
        return f"only a part was measured ({deselected} tests and {len(missing)} files left out)"
    return None


def write(path: Path, table: Sequence[str], *, command: str, machine: str) -> None:
    """Replaces what stands between the two marks of the document, at once or not at all.

    Raises:
        InputError: the document is not there, or has not both marks once.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as problem:
        raise InputError(path.name, f"cannot be read: {problem.strerror}") from None
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise InputError(path.name, f"expected the marks {BEGIN} and {END} once each")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    said = [f"Measured {time.strftime('%Y-%m-%d', time.gmtime())} with `{command}` on {machine}.", "", *table]
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(f"{head}{BEGIN}\n" + "\n".join(said) + f"\n{END}{tail}", encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
