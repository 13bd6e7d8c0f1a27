"""Names as another tool allows them: no two of ours may become one of theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.text.fit import clean


class Names:
    """Our names -> their names.

    Args:
        where: the run, for messages.
        reserved: names that the exporter uses itself.
        allowed: what the tool makes of a name.
    """

    def __init__(self, where: str | Path, *, reserved: tuple[str, ...], allowed: Callable[[str], str] = str) -> None:
        self._where = where
        self._allowed = allowed
        self._known: dict[str, str] = {}
        self._taken: dict[str, str | None] = dict.fromkeys(reserved)

    def __call__(self, name: str) -> str:
        """Their name.

        Raises:
            InputError: it is taken by another of our names, or by the exporter.
        """
        known = self._known.get(name)
        if known is not None:
            return known
        theirs = self._allowed(clean(name, 240)) or "unnamed"
        if theirs in self._taken:
            other = self._taken[theirs]
            by = f"by {other!r}" if other is not None else "by the export itself"
            raise InputError(self._where, f"would be exported as {theirs!r}, which is taken {by}", key=name[:80])
        self._taken[theirs] = name
        self._known[name] = theirs
        return theirs
