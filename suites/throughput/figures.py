"""The tables of figures that a session measured, for the terminal and for docs/performance.md."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

WIDTH = 120
INDENT = "    "
ANYTHING = ("what", "measured", "beside it", "how")

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "targets": ("target", "measured", "verdict", "how"),
    "ceilings of this machine": ("kernel", "rate", "middle half", "how"),
    "training step": (
        "model",
        "batch",
        "samples/s",
        "ms a step",
        "MFLOP",
        "of GEMM",
        "MB",
        "bound by",
        "of bound",
        "MiB",
        "J",
    ),
    "AMN: the trainer over the loop written bare": (
        "batch",
        "threads",
        "loop",
        "samples/s",
        "of GEMM",
        "of its own products",
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
    "cost as things grow": ("what grows", "from", "to", "cost", "over linear", "how"),
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


def plain(sections: Sequence[Section], width: int = WIDTH) -> list[str]:
    """Aligned columns for a terminal, none wider than ``width``: a last column that does not fit stands below its row,
    and columns that do not fit at all are not aligned.
    """
    lines: list[str] = []
    for section in sections:
        shared = (line for text in section.shared for line in textwrap.wrap(text, width))
        lines += ["", f"{section.title}:", *shared, *_aligned([section.columns, *section.rows], width)]
    return lines[1:]


def _aligned(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    heads = ["  ".join(f"{cell:<{wide}}" for cell, wide in zip(row[:-1], widths, strict=False)) for row in rows]
    if len(heads[0]) > width:  # a session's figures are never lost to their width
        return [line for row in rows for line in textwrap.wrap(" | ".join(row), width, subsequent_indent=INDENT)]
    if len(heads[0]) + 2 + widths[-1] <= width:
        return [f"{head}  {row[-1]}".rstrip() for head, row in zip(heads, rows, strict=True)]
    lines = [heads[0].rstrip()]
    for head, row in zip(heads[1:], rows[1:], strict=True):
        below = textwrap.wrap(row[-1], width, initial_indent=INDENT, subsequent_indent=INDENT)
        lines += [head.rstrip(), *below]
    return lines


def markdown(sections: Sequence[Section]) -> list[str]:
    """The same as Markdown, a heading and a table each."""
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
