"""units_equal: units of a layer began equal and stay so."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class UnitsEqual(Cause):
    """Units of a layer began equal and stay so."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("units_differ",),
            explains=("nothing_learned", "learns_slowly", "val_loss_descends", "outputs_vary"),
            phrase="all units of {weight} have the same weights, and get the same gradient",
            fix="draw the weights of the layer at random instead of filling it with one value",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=case_run("unit_spread", [{"lowest": 0.9, "layers": 2}] * 3, ["0.weight"])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="broken",
        run=case_run("unit_spread", [{"lowest": 0.0, "layers": 2}] * 3, ["0.weight"]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
