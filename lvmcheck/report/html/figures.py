"""A figure as data: curves, levels, bands and marks, and its JSON for the script of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvmcheck.checks.wording import plural
from lvmcheck.report.html.text import listed, shown
from lvmcheck.report.html.thinning import thinned
from lvmcheck.text.fit import clean

Floats = NDArray[np.float64]
LOG_RANGE = 100.0
"""Positive values that span more than this factor are drawn on a logarithmic scale."""


@dataclass(frozen=True, kw_only=True)
class PlotCurve:
    """Values over x, both float64 [n]; ``run`` is the number of the run it belongs to, None where it is of all."""

    name: str
    run: int | None
    x: Floats
    y: Floats


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal line: a floor, a baseline of the data or a bound below which a run is stopped.

    ``x`` is where it was asked for, or None where it holds everywhere.
    """

    label: str
    kind: str
    y: float
    x: float | None = None


@dataclass(frozen=True, kw_only=True)
class Region:
    """A region between ``low`` and ``high`` over ``x``, each float64 [n]."""

    label: str
    x: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A vertical line: a stage of the curriculum, a stop, an abort, or the first value that is not finite."""

    label: str
    kind: str
    x: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One chart.

    Args:
        title, x: of the chart and of its horizontal axis, in words of the field.
        y: the ends of its vertical axis, where they are known, as those of a share are.
    """

    key: str
    title: str
    x: str
    curves: tuple[PlotCurve, ...]
    levels: tuple[Level, ...] = ()
    bands: tuple[Region, ...] = ()
    marks: tuple[Mark, ...] = ()
    y: tuple[float, float] | None = None

    @property
    def log(self) -> bool:
        """Whether its values span too much for a linear scale."""
        if self.y is not None:
            return False
        finite = np.concatenate([curve.y[np.isfinite(curve.y)] for curve in self.curves] or [np.zeros(0)])
        return bool(len(finite) and finite.min() > 0 and finite.max() / finite.min() > LOG_RANGE)

    def summary(self) -> str:
        """What the curves say, in words: first to last value of a few, the range of many."""
        ends = [(curve.name, *_ends(curve.y)) for curve in self.curves if len(curve.y)]
        if not ends:
            return "no values"
        if len(ends) <= 4:
            return "; ".join(
                f"{name} {shown(last)}" if first is last else f"{name} {shown(first)} to {shown(last)}"
                for name, first, last in ends
            )
        last = [value for _, _, value in ends if math.isfinite(value)]
        lost = plural(len(ends) - len(last), "curve") + " not finite at the end" if len(last) < len(ends) else ""
        spread = f"last values {shown(min(last))} to {shown(max(last))}" if last else ""
        return "; ".join(part for part in (plural(len(ends), "curve"), spread, lost) if part)


def _ends(y: Floats) -> tuple[float, float]:
    first = float(y[0])
    return (first, first) if len(y) == 1 else (first, float(y[-1]))


def first_lost(curves: Sequence[PlotCurve]) -> tuple[Mark, ...]:
    """Marks at the first value of each curve that is not finite; one mark where several fall together."""
    found: dict[float, list[str]] = {}
    for curve in curves:
        lost = np.flatnonzero(~np.isfinite(curve.y))
        if len(lost):
            found.setdefault(float(curve.x[lost[0]]), []).append(curve.name)
    return tuple(Mark(label=f"not finite: {listed(names)}", kind="lost", x=x) for x, names in sorted(found.items()))


# -- for the script ----------------------------------------------------------------------------------------------------
class Pool:
    """Figures as JSON values; horizontal axes that several curves share are written once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.axes: list[list[float | None]] = []
        self._known: dict[bytes, int] = {}
        self.thinned_from = 0

    def axis(self, x: Floats) -> int:
        key = np.ascontiguousarray(x).tobytes()
        if key not in self._known:
            self._known[key] = len(self.axes)
            self.axes.append(numbers(x))
        return self._known[key]

    def figure(self, figure: Figure) -> dict[str, Any]:
        """What the script draws; numbers have six significant digits, and null stands for what is not finite."""
        return {
            "key": figure.key,
            "title": clean(figure.title, 120),
            "x": figure.x,
            "log": figure.log,
            "y": figure.y,
            "curves": [self._curve(curve) for curve in figure.curves],
            "levels": [{"kind": it.kind, "y": it.y, "x": it.x} for it in figure.levels],
            "bands": [
                {"x": self.axis(band.x), "low": numbers(band.low), "high": numbers(band.high)} for band in figure.bands
            ],
            "marks": [{"kind": it.kind, "x": it.x} for it in figure.marks],
        }

    def _curve(self, curve: PlotCurve) -> dict[str, Any]:
        indices = thinned(curve.y, self.limit)
        if len(indices) < len(curve.y):
            self.thinned_from = max(self.thinned_from, len(curve.y))
        return {
            "name": clean(curve.name, 80),
            "run": curve.run,
            "x": self.axis(curve.x[indices]),
            "y": numbers(curve.y[indices]),
        }


def numbers(values: Floats) -> list[float | None]:
    """Plain numbers of six significant digits; None where not finite."""
    return [_number(value) for value in values.tolist()]


def _number(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.6g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short
