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
        from lvmcheck.checks.finding import failed, passed, pending

        values = run.series(self.metric).values.tolist()
        steps = list(pairwise(values))
        if not run.over or not steps:
            return pending("awaits the end of the run")
        risen = [i + 2 for i, (before, after) in enumerate(steps) if not after < before]
        finding = Finding(
            what=f"epochs in which {self.metric} does not fall",
            measured=float(len(risen)),
            wanted="0",
            margin=-float(len(risen)),
            evidence=(f"at epochs {', '.join(map(str, risen))}",) if risen else (),
        )
        return (failed if risen else passed)(finding, evaluated=len(steps))
