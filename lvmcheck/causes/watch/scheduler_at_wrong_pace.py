"""scheduler_at_wrong_pace: the scheduler is never stepped, or not at the pace it was made for."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class SchedulerAtWrongPace(Cause):
    """The scheduler is never stepped, or not at the pace it was made for."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("scheduler_steps",),
            phrase="the scheduler is not stepped at the pace it was made for",
            fix="call scheduler.step() once for each unit that T_max or total_steps counts",
        )


_SAMPLE = {"scheduler_steps": 2.0, "optimizer_steps": 40.0, "epochs": 2.0, "share_of_rate": 0.9, "over": 0.0}
PASSES: Sequence[CauseCase] = (
    CauseCase(name="paced", run=case_run("schedule", [_SAMPLE])),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="never", run=case_run("schedule", [{**_SAMPLE, "scheduler_steps": 0}]), standing=Standing.MEASURED),
    CauseCase(
        name="per_batch",
        run=case_run("schedule", [{**_SAMPLE, "scheduler_steps": 40, "horizon": 12}]),
        standing=Standing.MEASURED,
    ),
)
