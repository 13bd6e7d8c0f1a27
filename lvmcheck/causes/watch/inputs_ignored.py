"""inputs_ignored: a part of the input has no effect on the output."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured, preflight_run


class InputsIgnored(Cause):
    """A part of the input has no effect on the output."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=(),
            probes=(
                "inputs_matter",
                "mask_matters",
            ),
            phrase="a part of the input has no effect on the output",
            fix="use every argument of forward; look for a slice, a mask or a weight of zero that drops it",
        )


PASSES: Sequence[CauseCase] = (CauseCase(name="other_probe", run=preflight_run("causal:future_seen")), UNWATCHED)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="inputs_matter_tensor_ignored",
        run=preflight_run("inputs_matter:tensor_ignored"),
        standing=Standing.MEASURED,
    ),
    CauseCase(
        name="mask_matters_mask_ignored", run=preflight_run("mask_matters:mask_ignored"), standing=Standing.MEASURED
    ),
)
