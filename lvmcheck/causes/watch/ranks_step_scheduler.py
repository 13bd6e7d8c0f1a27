"""ranks_step_scheduler: the scheduler is stepped once for every rank."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RanksStepScheduler(Cause):
    """The scheduler is stepped once for every rank."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ranks_schedule_once",),
            explains=("scheduler_steps",),
            phrase="the scheduler is stepped once for every rank, and is at its end after a part of the training",
            fix="leave the scheduler out of accelerator.prepare, or make it as many times as long as there are ranks",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(
        name="well", run=case_run("rank_schedule", [{"ranks": 2.0, "calls": 80.0, "steps": 40.0, "horizon": 80.0}])
    ),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="measured",
        run=case_run("rank_schedule", [{"ranks": 2.0, "calls": 80.0, "steps": 40.0, "horizon": 40.0}]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
