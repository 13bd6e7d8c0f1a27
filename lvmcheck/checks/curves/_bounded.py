"""A metric beside its bounds, at an epoch, at the end, at its best or in every epoch: what named floors share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lvmcheck.checks.bounds import Bound, BoundKind
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, compared, error, not_applicable, passed
from lvmcheck.checks.protocol import Check, missing_metric
from lvmcheck.checks.shared.baselines import Floor, evidence
from lvmcheck.checks.shared.epochs import at_epoch, awaiting, check_count, complete, no_number, not_at_end, not_finite
from lvmcheck.errors import BadValueError
from lvmcheck.run.events import Epoch
from lvmcheck.run.view import Run

When = int | Literal["final", "best", "every"]


@dataclass(frozen=True, kw_only=True)
class Bounded(Check):
    """Base: subclasses say how their bounds are asked for (:attr:`asked`) and what the names in them are."""

    metric: str
    epoch: When
    min_steps: int = 0

    @property
    def asked(self) -> Mapping[str, tuple[BoundKind, Floor]]:
        """Key -> kind and expression, the floor or ceiling before its abort bound."""
        raise NotImplementedError

    def known(self, run: Run, epoch: int, /) -> Mapping[str, float]:
        """What the names in expressions are worth on this run."""
        raise NotImplementedError

    @property
    def rising(self) -> bool:
        """Whether the best value is the highest."""
        return any(kind is BoundKind.FLOOR for kind, _ in self.asked.values())

    def check_when(self) -> None:
        """Raise BadValueError unless epoch and min_steps fit each other."""
        if not isinstance(self.epoch, str):
            check_count("epoch", self.epoch)
        if self.min_steps < 0:
            raise BadValueError("min_steps", f"expected at least 0, got {self.min_steps}")
        if self.min_steps and not isinstance(self.epoch, int):
            raise BadValueError("min_steps", f"expected with a numbered epoch, got epoch {self.epoch!r}")

    def detail(self) -> str:
        return f"{self.metric}@{self.epoch}"

    def due(self, epochs: int) -> int:
        return self.epoch if isinstance(self.epoch, int) else epochs

    def judge(self, run: Run) -> Outcome:
        if self.epoch in ("best", "every"):
            absent = missing_metric(run, self.metric)
            if absent is not None:
                return absent
            return self._judge_best(run) if self.epoch == "best" else self._judge_every(run)
        if self.epoch == "final":
            absent = missing_metric(run, self.metric)
            if absent is not None:
                return absent
            if not complete(run):
                return awaiting(run, f"{self.metric} at the final epoch")
        epoch = self.epoch if isinstance(self.epoch, int) else run.last_epoch
        if self.min_steps:
            trained = next((e.epoch for e in run.of(Epoch) if e.epoch >= epoch and e.step >= self.min_steps), None)
            if trained is None:
                return self._too_few_steps(run)
            epoch = trained
        value = at_epoch(run, self.metric, epoch)
        return value if isinstance(value, Outcome) else self.compare(run, value, epoch)

    def _too_few_steps(self, run: Run) -> Outcome:
        if not complete(run):
            return awaiting(run, f"{self.metric} after {self.min_steps:,} optimizer steps")
        return not_applicable(f"asks for {self.min_steps:,} optimizer steps, and the whole run has {run.step:,}")

    def _judge_best(self, run: Run) -> Outcome:
        series = run.series(self.metric)
        values, epochs = series.values.tolist(), series.epochs.tolist()
        bounds = self.bounds(run, epochs[-1] if epochs else 0)
        if isinstance(bounds, Outcome):
            return bounds if values else awaiting(run, self.metric)
        findings = [self._finding(run, value, epoch, bounds) for value, epoch in zip(values, epochs, strict=True)]
        fits = [found.met and math.isfinite(value) for found, value in zip(findings, values, strict=True)]
        hit = fits.index(True) if any(fits) else len(values)
        broken = not_finite(series, until=hit)
        if broken is not None:
            return broken
        if hit < len(values):
            return compared(findings[hit])
        if not values or not complete(run):
            return awaiting(run, f"{self.metric} within its bounds", evaluated=len(values))
        best = (max if self.rising else min)(range(len(values)), key=values.__getitem__)
        return compared(findings[best])

    def _judge_every(self, run: Run) -> Outcome:
        series = run.series(self.metric)
        nearest: Finding | None = None
        for i, (value, epoch) in enumerate(zip(series.values.tolist(), series.epochs.tolist(), strict=True), 1):
            outcome = self.compare(run, value, epoch)
            finding = outcome.finding
            if finding is None or outcome.status is not Status.PASSED:
                return outcome
            if nearest is None or (finding.margin or 0.0) < (nearest.margin or 0.0):
                nearest = finding
            if i == len(series) and complete(run):
                return not_at_end(run, series) or passed(nearest, evaluated=i)
        return awaiting(run, f"{self.metric} of every epoch", evaluated=len(series))

    def bounds(self, run: Run, epoch: int) -> tuple[Bound, ...] | Outcome:
        """The bounds as numbers on this run."""
        known, bounds = self.known(run, epoch), []
        for key, (kind, parsed) in self.asked.items():
            number = parsed.value(known)
            if number is None:
                return error(f"{key} {parsed.text!r}: not recorded for this data: {', '.join(parsed.missing(known))}")
            bounds.append(Bound(kind, self.widened(number, kind), parsed.text if parsed.relative else ""))
        return tuple(bounds)

    def widened(self, number: float, _kind: BoundKind) -> float:
        """The bound with its tolerance."""
        return number

    def compare(self, run: Run, value: float, epoch: int) -> Outcome:
        if math.isinf(value):  # a NaN misses its bounds by itself
            return no_number(self.metric, value, epoch)
        bounds = self.bounds(run, epoch)
        return bounds if isinstance(bounds, Outcome) else compared(self._finding(run, value, epoch, bounds))

    def _finding(self, run: Run, value: float, epoch: int, bounds: tuple[Bound, ...]) -> Finding:
        return Finding(
            code="best" if self.epoch == "best" else "at_epoch",
            metric=self.metric,
            measured=value,
            bounds=bounds,
            epoch=epoch,
            evidence=self.support(run),
            phrase="best {metric} {measured}" if self.epoch == "best" else "",
        )

    def support(self, run: Run) -> tuple[Fact, ...]:
        """Further figures: what the baselines of the data score."""
        return evidence(run, self.metric)
