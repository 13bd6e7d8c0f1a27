"""parameters_not_optimized: trainable parameters are in no optimizer."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class ParametersNotOptimized(Cause):
    """Trainable parameters are in no optimizer."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("missing_from_optimizer",),
            explains=("parameters_move",),
            probes=("optimizer_coverage:missing",),
            phrase="trainable parameters are in no optimizer",
            fix="make the optimizer after the model is complete, or call optimizer.add_param_group",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="all_held", run=case_run("coverage", [{"trainable": 4, "missing": 0}])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="forgotten_head",
        run=case_run("coverage", [{"trainable": 4, "missing": 2}], ["head.weight", "head.bias"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
