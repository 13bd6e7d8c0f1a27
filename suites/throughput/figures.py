"""The table of figures that a session measured, for the terminal and for docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

HEADINGS = ("what", "measured", "target", "ratio or share", "note")


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Args:
        what: what was measured.
        measured: the figure with its unit.
        target: what it must reach, in words; empty where nothing was asked.
        met: whether it does; None where nothing was asked.
        ratio: the figure relative to something measured in the same run.
        note: how it was measured.
    """

    what: str
    measured: str
    target: str = ""
    met: bool | None = None
    ratio: str = ""
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """The cells below :data:`HEADINGS`."""
        verdict = "" if self.met is None else " (met)" if self.met else " (MISSED)"
        return (self.what, self.measured, self.target + verdict, self.ratio, self.note)


@dataclass
class Figures:
    """What the session measured so far; ``numbers`` are what one measurement leaves for another."""

    rows: list[Figure] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)

    def add(self, what: str, measured: str, **more: str | bool | None) -> None:
        """Append a :class:`Figure`."""
        self.rows.append(Figure(what, measured, **more))  # type: ignore[arg-type]


FIGURES = pytest.StashKey[Figures]()


def plain(rows: Sequence[Figure]) -> list[str]:
    """Aligned columns, for a terminal."""
    cells = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def markdown(rows: Sequence[Figure]) -> list[str]:
    """The same as a Markdown table."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *(row.cells() for row in rows)]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def percent(share: float) -> str:
    """``0.0123`` as ``1.2 %``; shares below a tenth of a percent keep two significant digits."""
    number = 100.0 * share
    return f"{number:.1f} %" if abs(number) >= 0.1 or number == 0 else f"{number:.2g} %"


def signed(share: float) -> str:
    """The same with its sign: what something adds."""
    return percent(share) if share < 0 else f"+{percent(share)}"
