"""rescaled_in_place: the stored inputs are changed each time they are used."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class RescaledInPlace(Cause):
    """The stored inputs are changed each time they are used."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("rows_kept",),
            explains=("loss_diverging", "nothing_learned", "overfits", "memorises", "validation_in_scale"),
            phrase="the stored inputs are scaled or moved in place, again in every epoch",
            fix="make a copy: x = (x - mean) / std, and no sub_, div_ or *= on rows of the data set",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=case_run("rows_kept", [{"changed": 0.0, "alike": 1.0, "rows": 64.0}] * 3)),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="in_place",
        run=case_run("rows_kept", [{"changed": 1.0, "alike": 1.0, "rows": 64.0}] * 3),
        standing=Standing.MEASURED,
    ),
    CauseCase(
        name="most_of_them",
        run=case_run("rows_kept", [{"changed": 0.9, "alike": 0.999, "rows": 64.0}] * 3),
        standing=Standing.MEASURED,
    ),
)
