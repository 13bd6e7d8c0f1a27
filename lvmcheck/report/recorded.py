"""The verdicts that lie beside a run (``verdicts.json``), read as a file that anybody may have written."""

from __future__ import annotations

from pathlib import Path

from lvmcheck.checks.finding import Verdict
from lvmcheck.checks.verdict_json import verdict_from_json
from lvmcheck.errors import InputError
from lvmcheck.run.directory import VERDICTS
from lvmcheck.run.regular_file import read_json

MAX_BYTES = 16 << 20
MOST = 2000
"""Verdicts of one run that are read."""


def recorded_verdicts(folder: Path) -> tuple[Verdict, ...] | None:
    """The verdicts in a run directory, or None where there are none.

    Raises:
        InputError: the file is too large, or does not hold verdicts.
    """
    path = folder / VERDICTS
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_BYTES:
        raise InputError(path, f"expected at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,}")
    try:
        body = read_json(path)
    except RecursionError:
        body = None
    bodies = None if body is None else body.get("verdicts")
    if not isinstance(bodies, list) or not all(isinstance(item, dict) for item in bodies):
        raise InputError(path, "expected an object with a list 'verdicts' of objects")
    if len(bodies) > MOST:
        raise InputError(path, f"expected at most {MOST:,} verdicts, got {len(bodies):,}")
    return tuple(verdict_from_json(item, f"{path}: verdict {i}") for i, item in enumerate(bodies, start=1))
