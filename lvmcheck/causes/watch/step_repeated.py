"""step_repeated: the optimizer steps twice for one backward pass."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class StepRepeated(Cause):
    """The optimizer steps twice for one backward pass."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("one_step_per_backward",),
            phrase="the optimizer steps again on gradients that it has used",
            fix=(
                "call step once per backward pass; remove the second call (a callback, scaler.step and optimizer.step)"
            ),
        )


_SAMPLE = {"steps": 1.0, "without_backward": 0.0, "recorded": 1.0, "forwards": 1.0, "backwards": 1.0}
PASSES: Sequence[CauseCase] = (
    CauseCase(name="once", run=case_run("step_calls", [_SAMPLE])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="twice",
        run=case_run("step_calls", [{**_SAMPLE, "steps": 6, "without_backward": 3}]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
