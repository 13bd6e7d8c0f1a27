"""parameters_updated_twice: parameters are in the optimizer more than once."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class ParametersUpdatedTwice(Cause):
    """Parameters are in the optimizer more than once."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("held_once",),
            probes=("optimizer_coverage:twice",),
            phrase="parameters are updated more than once in a step",
            fix="make the groups disjoint",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="once", run=case_run("held_twice", [{"held": 4, "twice": 0}])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="overlap",
        run=case_run("held_twice", [{"held": 4, "twice": 1}], ["head.weight"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
