"""units_saturated: units of tanh or sigmoid lie at the end of their range."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class UnitsSaturated(Cause):
    """Units of tanh or sigmoid lie at the end of their range."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("units_unsaturated",),
            phrase="activations are saturated",
            fix="normalise the inputs, make the weights smaller, or put a norm before the activation",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="inside", run=case_run("saturation", [{"highest": 0.1, "modules": 2}] * 5, ["1"])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="outside",
        run=case_run("saturation", [{"highest": 0.9, "modules": 2}] * 5, ["1"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
