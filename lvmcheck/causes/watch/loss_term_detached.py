"""loss_term_detached: a term of the loss carries no gradient."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class LossTermDetached(Cause):
    """A term of the loss carries no gradient."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("addends_have_gradient",),
            explains=("nothing_learned", "learns_slowly", "val_loss_descends"),
            phrase="a part of the loss varies and trains nothing: it is a number, or detached",
            fix="add the term as a tensor with its graph: no float(), .item() or .detach() on what is meant to train",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(
        name="healthy",
        run=case_run(
            "loss_addends", [{"addends": 2, "without_gradient": 0, "varying": 0, "share": 0.0}] * 4, ["addend 2 of 2"]
        ),
    ),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="broken",
        run=case_run(
            "loss_addends", [{"addends": 2, "without_gradient": 1, "varying": 1, "share": 0.4}] * 4, ["addend 2 of 2"]
        ),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
