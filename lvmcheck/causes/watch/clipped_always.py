"""clipped_always: clipping decides the size of every step."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import KILLERS, UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class ClippedAlways(Cause):
    """Clipping decides the size of every step."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("clipping_acts_sometimes", "clipping_leaves_gradient"),
            after=(*KILLERS, "updates_out_of_range", "units_saturated"),
            codes=("always_clipped", "clipped_to_nothing"),
            phrase="the bound of clipping is below every gradient norm",
            fix="set the bound to a few times the median norm",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="unclipped", run=case_run("gradient_norm", [{"norm": 1.0}, {"norm": 0.5}] * 20)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(name="always", run=case_run("gradient_norm", [{"norm": 1.0}] * 20), standing=Standing.MEASURED),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
