"""A check as a user might write it: the validation loss falls in every epoch. It refuses the best run on record."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from lvmcheck import Check, Finding, Outcome, Run


@dataclass(frozen=True, kw_only=True)
class StrictlyFalls(Check):
    """The validation loss is lower after every epoch than after the one before.

    Usual causes:
    - The check: a run that has converged hovers, and one that is perfect from the start cannot fall.
    """

    metric: str = "val_loss"

    def judge(self, run: Run) -> Outcome:
        from lvmcheck.checks.finding import Fact, failed, passed, pending

        values = run.series(self.metric).values.tolist()
        steps = list(pairwise(values))
        if not run.over or not steps:
            return pending("the end of the run")
        risen = [i + 2 for i, (before, after) in enumerate(steps) if not after < before]
        finding = Finding(
            code="does_not_fall",
            metric=self.metric,
            measured=len(risen),
            evidence=(Fact("total", len(steps)), *(Fact("epoch", epoch) for epoch in risen)),
            phrase="{metric} does not fall in {measured} of {total} epochs",
        )
        return (failed if risen else passed)(finding, evaluated=len(steps))
