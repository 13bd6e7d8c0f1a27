"""The tables of figures that a session measured, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

ANYTHING = ("what", "measured", "beside it", "how")

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "targets": ("target", "measured", "verdict", "how"),
    "training step": ("model", "batch", "samples/s", "ms a step", "MFLOP", "of GEMM", "MiB"),
    "AMN: the trainer over the loop written bare": (
        "batch",
        "threads",
        "loop",
        "samples/s",
        "of GEMM",
        "over the bare loop",
    ),
    "training beside peers": ("loop", "batch", "threads", "samples/s", "times ours", "middle half", "how"),
    "prediction": (
        "model",
        "batch 1",
        "8",
        "32",
        "128",
        "samples/s",
        "of GEMM",
        "times AMN",
        "alone: p50",
        "p95",
        "p99",
    ),
    "Cognate": ANYTHING,
    "data": ANYTHING,
    "recorder and judge": ANYTHING,
    "start": ANYTHING,
}
"""Title of each table, in their order, with its columns."""


@dataclass
class Section:
    """One table: what all its rows share stands above it."""

    title: str
    columns: tuple[str, ...]
    shared: list[str] = field(default_factory=list)
    rows: list[tuple[str, ...]] = field(default_factory=list)


@dataclass
class Figures:
    """What the session measured so far; ``numbers`` are what one measurement leaves for another."""

    sections: dict[str, Section] = field(
        default_factory=lambda: {title: Section(title, columns) for title, columns in SECTIONS.items()}
    )
    numbers: dict[str, float] = field(default_factory=dict)

    def add(self, title: str, *cells: str) -> None:
        """A row below the columns of that table.

        Raises:
            ValueError: no such table, or another number of cells.
        """
        section = self.sections.get(title)
        if section is None or len(section.columns) != len(cells):
            raise ValueError(f"expected one of {list(SECTIONS)} and a cell for each column, got {title!r} and {cells}")
        section.rows.append(cells)

    def say(self, title: str, shared: str) -> None:
        """A line above that table; said twice it stands there once."""
        if shared not in self.sections[title].shared:
            self.sections[title].shared.append(shared)

    def target(self, asked: str, measured: str, met: bool, how: str = "") -> None:
        """What a figure must reach and whether it does."""
        self.add("targets", asked, measured, "met" if met else "MISSED", how)

    @property
    def filled(self) -> list[Section]:
        """The tables that have rows."""
        return [section for section in self.sections.values() if section.rows]


FIGURES = pytest.StashKey[Figures]()


def markdown(sections: Sequence[Section]) -> list[str]:
    """A heading and a Markdown table each, as docs/performance.md has them."""
    lines: list[str] = []
    for section in sections:
        lines += ["", f"### {section.title[0].upper()}{section.title[1:]}", "", *section.shared]
        rows = [section.columns, tuple("---" for _ in section.columns), *section.rows]
        lines += [*([""] if section.shared else []), *("| " + " | ".join(map(_escaped, row)) + " |" for row in rows)]
    return lines[1:]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def percent(share: float) -> str:
    """``0.0123`` as ``1.2 %``; shares below a tenth of a percent keep two significant digits."""
    number = 100.0 * share
    return f"{number:.1f} %" if abs(number) >= 0.1 or number == 0 else f"{number:.2g} %"


def signed(share: float) -> str:
    """The same with its sign: what something adds."""
    return percent(share) if share < 0 else f"+{percent(share)}"
