"""Checks of a user's own repository, for the tests of suite files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Finding, Outcome, compared, failed, passed, pending
from lvmcheck.checks.protocol import Check, missing_metric
from lvmcheck.errors import BadValueError
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class Floor(Check):
    """The metric is at least ``floor`` at ``epoch``."""

    metric: str
    epoch: int
    floor: float
    abort_below: float | None = None
    side: Literal["left", "right"] = "left"
    weights: tuple[float, ...] = ()
    terms: dict[str, float] | None = None

    def __post_init__(self) -> None:
        if not -1 <= self.floor <= 1:
            raise BadValueError("floor", f"expected -1..1, got {self.floor}")
        if self.abort_below is not None and self.abort_below > self.floor:
            raise BadValueError("abort_below", f"expected at most floor {self.floor}, got {self.abort_below}")

    def detail(self) -> str:
        return f"{self.metric}@{self.epoch}"

    def judge(self, run: Run) -> Outcome:
        value = run.series(self.metric).at(self.epoch)
        if value is None:
            return missing_metric(run, self.metric) or pending(f"epoch {self.epoch}")
        return compared(Finding(code="at_epoch", metric=self.metric, measured=value, bounds=(floor(self.floor),)))


@dataclass(frozen=True, kw_only=True)
class Finite(Check):
    """The training loss is a number."""

    def judge(self, run: Run) -> Outcome:
        values = run.series("train_loss").values
        if not len(values):
            return pending("the first epoch")
        finding = Finding(code="last", metric="train_loss", measured=float(values[-1]))
        return passed(finding) if math.isfinite(values[-1]) else failed(finding)


@dataclass(frozen=True, kw_only=True)
class Drift(Finite):
    """Asks for a metric that this trainer does not log, by its default."""

    metric: str = "val_drift"


@dataclass(frozen=True, kw_only=True)
class Hiding(Check):
    """A defect: its field hides a key that every entry has."""

    source: int = 0
