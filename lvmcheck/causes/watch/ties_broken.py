"""ties_broken: weights that should be tied are not."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class TiesBroken(Cause):
    """Weights that should be tied are not."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ties_hold",),
            probes=("tied_weights",),
            phrase="weights that should be one parameter are two",
            fix=(
                "assign the parameter itself (head.weight = embedding.weight), after everything that "
                "replaces parameters"
            ),
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="tied", run=case_run("ties", [{"tied": 1, "untied": 0, "copied": 0}])),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="copied",
        run=case_run("ties", [{"tied": 0, "untied": 0, "copied": 1}], ["head.weight"]),
        standing=Standing.MEASURED,
    ),
    CauseCase(
        name="parted",
        run=case_run("ties", [{"tied": 1, "untied": 1, "copied": 0}], ["embed.weight"]),
        standing=Standing.MEASURED,
    ),
)
