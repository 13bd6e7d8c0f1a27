"""Comparisons as aligned lines of text, what fails first."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lvmcheck.comparison.throughput.comparison import Change, RatioComparison
from lvmcheck.comparison.throughput.result import Result

HEADINGS = ("then", "now", "change", "allowed", "change", "benchmark")
ORDER = (Change.SLOWER, Change.UNCOMPARED, Change.FASTER, Change.UNCHANGED, Change.NEW)


def table(compared: Sequence[RatioComparison]) -> list[str]:
    """A row for each comparison, below headings; empty where there is none."""
    if not compared:
        return []
    front = _folder([comparison.name for comparison in compared])
    ordered = sorted(compared, key=lambda comparison: ORDER.index(comparison.change))
    rows = [HEADINGS, *(_row(comparison, front) for comparison in ordered)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(comparison: RatioComparison, front: str) -> tuple[str, ...]:
    ratio, allowed = ("" if value is None else f"{value:.2f}x" for value in (comparison.ratio, comparison.tolerance))
    name = comparison.name.removeprefix(front) + (f"  ({comparison.why})" if comparison.why else "")
    return (_shown(comparison.then), _shown(comparison.now), ratio, allowed, comparison.change.value, name)


def _shown(result: Result | None) -> str:
    """``0.5312 +-3 %``: the median and half the distance of the quartiles."""
    return "" if result is None else f"{result.relative:.4g} ±{100 * result.spread:.0f} %"


def _folder(names: Sequence[str]) -> str:
    """The folder that all benchmarks are in, with its slash; empty where they share none."""
    folders = [name.partition("::")[0].rpartition("/")[0] for name in names]
    common = os.path.commonpath(folders) if all(folders) else ""
    return f"{common}/" if common else ""
