"""frozen_on_the_way: parameters were frozen after training began."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class FrozenOnTheWay(Cause):
    """Parameters were frozen after training began."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("stays_trainable",),
            explains=("gradient_reaches",),
            phrase="requires_grad was set to False after training began",
            fix=("set requires_grad before the optimizer is made, or undo it after the pass it was meant for"),
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="trainable", run=case_run("freezing", [{"trainable": 4, "frozen_since": 0}])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="frozen",
        run=case_run("freezing", [{"trainable": 2, "frozen_since": 2}], ["head.weight"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
