"""learning_rate_zero: some step used a learning rate above 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._cases import rates
from lvmcheck.checks.curves._curves import CurveCheck, concluded, found_at
from lvmcheck.checks.finding import Fact, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import LEVELS
from lvmcheck.run.view import Run

LEAST = 3
"""Recorded rates from which all zeros are no warm-up."""


@dataclass(frozen=True, kw_only=True)
class LearningRateZero(CurveCheck):
    """Not every recorded learning rate is 0.

    Why:
    With a rate of 0 nothing is learned, and every other figure looks like a model at the end of its training.

    Usual causes:
    - A warm-up that is longer than the run, or a scheduler whose factor is an integer division (step // warmup).
    - A scheduler that was loaded from the end of another run, or stepped far too often before training.
    - The rate is set by hand on a copy of the parameter groups.

    Fix:
    Print optimizer.param_groups[0]["lr"] before the first and the hundredth step.

    Healthy runs that must pass:
    A warm-up that starts at 0; a schedule that ends at 0; a run of one or two recorded rates.

    Source:
    This project's list of checks: learning rate zero. Severity: fails, because no weight can move.
    """

    exempt = LEVELS

    def judge_ended(self, run: Run) -> Outcome:
        rate = run.curves.rate
        if rate is None:
            return not_recorded("no learning rate is recorded")
        if len(rate) < LEAST:
            return not_applicable(f"fewer than {LEAST} learning rates are recorded")
        highest = float(np.abs(rate.values).max())
        finding = found_at(
            rate,
            -1,
            "highest_rate" if highest else "always_zero",
            highest,
            evidence=(Fact("values", len(rate)),),
            phrase="highest learning rate {measured} in {values} recorded values",
        )
        return concluded(finding, [rate], evaluated=len(rate)) if highest else failed(finding, evaluated=len(rate))


_case = made.Cases(LearningRateZero())
PASSES = (
    _case("perfect_oracle", rates([1e-3] * 20)),
    _case("warm_up_and_decay_to_zero", rates([0.0, 5e-4, 1e-3, 5e-4, 0.0])),
    _case("by_epoch", {"loss": [2.0, 1.0, 0.5], "lr": [1e-3, 1e-4, 1e-5]}),
)
FAILS = (
    _case("always_zero", rates([0.0] * 20), "always_zero", 0.0),
    _case("by_epoch_zero", {"loss": [2.0, 2.0, 2.0], "learning_rate": [0.0] * 3}),
)
