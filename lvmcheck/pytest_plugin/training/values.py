"""Metrics of a training as a test compares them: one number a seed, and what of the seeds is compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from lvmcheck.checks.means import OPERATORS, Figure, number_of, seeds_compared
from lvmcheck.checks.wording import figure as shown_figure
from lvmcheck.errors import BadValueError, excerpt
from lvmcheck.launch.run_job import RunJob
from lvmcheck.pytest_plugin.training.answers import Answer, here, keep, refuse, verdict_at
from lvmcheck.report.verdicts import SEEDS
from lvmcheck.run.alike import FIX, repeated
from lvmcheck.text.fit import fit_line

MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
CHECK = "metric"
"""The check whose question a comparison is."""


class Value:
    """One number a seed; what is compared is their mean, unless another figure is taken.

    A comparison is True or False, and a False one is explained where pytest shows a failed assertion. NaN is no
    answer: it fails the test in every spelling, also ``not value < 1``.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        config: pytest.Config,
        jobs: Mapping[int, RunJob],
        metric: str,
        place: str,
        points: Mapping[int, tuple[int, float]],
        figure: Figure = Figure.MEAN,
    ) -> None:
        self._config, self._jobs, self._points = config, jobs, points
        self._metric, self._place, self._figure = metric, place, figure
        self._answers: dict[str, Answer] = {}

    # -- what of the seeds -------------------------------------------------------------------------------------------
    @property
    def values(self) -> dict[int, float]:
        """Seed -> its number."""
        return {seed: value for seed, (_, value) in self._points.items()}

    @property
    def epochs(self) -> dict[int, int]:
        """Seed -> the epoch of its number."""
        return {seed: epoch for seed, (epoch, _) in self._points.items()}

    @property
    def mean(self) -> Value:
        return self._as(Figure.MEAN)

    @property
    def low(self) -> Value:
        """The lower end of the 95 % interval of the mean: asks more than the mean itself."""
        return self._as(Figure.LOW)

    @property
    def high(self) -> Value:
        """The upper end of that interval."""
        return self._as(Figure.HIGH)

    @property
    def lowest(self) -> Value:
        """The lowest seed."""
        return self._as(Figure.LOWEST)

    @property
    def highest(self) -> Value:
        """The highest seed."""
        return self._as(Figure.HIGHEST)

    def _as(self, figure: Figure) -> Value:
        __tracebackhide__ = True
        if figure in (Figure.LOW, Figure.HIGH) and len(self._points) < 2:
            call = here(self._config)
            refuse(
                call.error("one seed shows no spread", key=self.name(figure), fix="Give at least two: seeds=[0, 1].")
            )
        return Value(self._config, self._jobs, self._metric, self._place, self._points, figure)

    def name(self, figure: Figure | None = None) -> str:
        """``val_accuracy.final``, ``val_accuracy.final.low``."""
        figure = self._figure if figure is None else figure
        return f"{self._metric}.{self._place}" + ("" if figure is Figure.MEAN else f".{figure}")

    # -- comparing ---------------------------------------------------------------------------------------------------
    def __float__(self) -> float:
        return number_of(self._figure, self.values)

    def __repr__(self) -> str:
        return f"<{self.name()} {shown_figure(float(self))}>"

    def __bool__(self) -> bool:
        __tracebackhide__ = True
        return refuse(here(self._config).error("expected a comparison", key=self.name(), fix="Such as >= 0.9."))

    def __lt__(self, other: object) -> bool:
        __tracebackhide__ = True
        return self._compare("<", other)

    def __le__(self, other: object) -> bool:
        __tracebackhide__ = True
        return self._compare("<=", other)

    def __gt__(self, other: object) -> bool:
        __tracebackhide__ = True
        return self._compare(">", other)

    def __ge__(self, other: object) -> bool:
        __tracebackhide__ = True
        return self._compare(">=", other)

    def __eq__(self, other: object) -> bool:
        __tracebackhide__ = True
        return self._compare("==", other)

    def __ne__(self, other: object) -> bool:
        __tracebackhide__ = True
        return self._compare("!=", other)

    def _compare(self, op: str, other: object) -> bool:
        __tracebackhide__ = True
        answer = self.answer(op, other)
        self._answers[op] = keep(self._config, answer)
        if math.isnan(float(self)):
            refuse("\n".join(answer.told(where=True).whole))
        return bool(answer)

    def explained(self, op: str) -> list[str] | None:
        """The lines of a failed comparison, which an assertion shows."""
        answer = self._answers.get(op)
        if answer is None or answer.passed:
            return None
        answer.shown = True
        return list(map(fit_line, answer.told().short))

    def answer(self, op: str, other: object) -> Answer:
        """The verdict of a comparison."""
        __tracebackhide__ = True
        call = here(self._config)
        same = repeated([self._jobs[seed].run for seed in self._points]) if len(self._points) > 1 else None
        if same is not None:
            refuse(call.error(same.problem(), key=self.name(), fix=FIX))
        try:
            bound = _number(other)
            outcome = seeds_compared(self._metric, self.values, op, bound, figure=self._figure, epochs=self.epochs)
        except BadValueError as problem:
            refuse(call.error(problem.problem, key=f"{self.name()} {op}", fix=problem.fix))
        seed: int | str = SEEDS if len(self._points) > 1 else next(iter(self._points))
        name = f"{self.name()} {op} {bound:.6g}"
        verdict = verdict_at(call, name, CHECK, outcome, seed)
        return Answer(verdict, self._jobs, self._worst(op, bound), self._metric)

    def _worst(self, op: str, bound: float) -> int:
        """The seed that is furthest from what is asked; one that is NaN before all."""
        sign = {">": 1.0, ">=": 1.0, "<": -1.0, "<=": -1.0}

        def key(seed: int) -> tuple[bool, float]:
            value = self.values[seed]
            return not math.isnan(value), sign[op] * value if op in sign else -abs(value - bound)

        return min(self.values, key=key)


def _number(other: object) -> float:
    """What a test compares with: a number, an array of one, or another training's value."""
    found: Any = float(other) if isinstance(other, Value) else other
    if hasattr(found, "item") and getattr(found, "ndim", 0) == 0:
        found = found.item()
    if isinstance(found, bool) or not isinstance(found, int | float):
        text = f"expected a number beside the comparison, got {excerpt(repr(other), 40)}"
        raise BadValueError("", text, "pytest.approx and others take float(value).")
    return float(found)


def explain(op: str, left: object, right: object) -> list[str] | None:
    """The explanation of ``left op right`` where one of them is a :class:`Value`."""
    if op not in OPERATORS:
        return None
    if isinstance(left, Value):
        return left.explained(op)
    return right.explained(MIRRORED.get(op, op)) if isinstance(right, Value) else None
