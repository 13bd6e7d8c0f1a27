"""copy_never_updated: a slow copy of the model is never updated."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class CopyNeverUpdated(Cause):
    """A slow copy of the model is never updated."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("copies_follow",),
            explains=("nothing_learned", "learns_slowly", "val_loss_descends", "metric_constant"),
            phrase="the copy of {of} that is used in its place still has the weights of the beginning",
            fix="update the copy after the optimizer step: load_state_dict, or lerp_ of each parameter",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(
        name="healthy",
        run=case_run("copy", [{"steps": 300, "calls": 300, "unchanged": 0.0, "same_inputs": 0.0}], ["left"]),
    ),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="broken",
        run=case_run("copy", [{"steps": 300, "calls": 300, "unchanged": 1.0, "same_inputs": 0.0}], ["left"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
