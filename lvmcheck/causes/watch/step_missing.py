"""step_missing: the optimizer is never stepped."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class StepMissing(Cause):
    """The optimizer is never stepped."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("steps_are_taken",),
            phrase="the watched optimizer is never stepped",
            fix="call optimizer.step() after backward, of the optimizer that holds this model",
        )


_SAMPLE = {"steps": 1.0, "without_backward": 0.0, "recorded": 1.0, "forwards": 1.0, "backwards": 1.0}
PASSES: Sequence[CauseCase] = (
    CauseCase(name="stepped", run=case_run("step_calls", [_SAMPLE])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="never", run=case_run("step_calls", [{**_SAMPLE, "steps": 0, "recorded": 31}]), standing=Standing.MEASURED
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
