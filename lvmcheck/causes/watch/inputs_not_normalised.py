"""inputs_not_normalised: inputs are constant, or far from zero mean and unit deviation."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class InputsNotNormalised(Cause):
    """Inputs are constant, or far from zero mean and unit deviation."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("inputs_scaled",),
            explains=("units_unsaturated", "units_alive"),
            phrase="inputs are not normalised, or carry nothing",
            fix=("standardise with the statistics of the training data, once, or begin the model with a norm"),
        )


_SAMPLE = {"mean": 0.0, "std": 1.0, "lowest": -3.0, "highest": 3.0, "binary": 0.0}
PASSES: Sequence[CauseCase] = (
    CauseCase(name="standardised", run=case_run("inputs", [_SAMPLE] * 3)),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="pixels", run=case_run("inputs", [{**_SAMPLE, "mean": 120, "std": 70}] * 3), standing=Standing.MEASURED
    ),
    CauseCase(name="constant", run=case_run("inputs", [{**_SAMPLE, "std": 0}] * 3), standing=Standing.MEASURED),
)
