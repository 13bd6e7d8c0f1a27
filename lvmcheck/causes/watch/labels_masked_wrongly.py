"""labels_masked_wrongly: the mask of the labels leaves out what should be learned."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured, preflight_run


class LabelsMaskedWrongly(Cause):
    """The mask of the labels leaves out what should be learned."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=(),
            probes=("label_mask",),
            phrase="the labels that count are not those that should be learned",
            fix="label only the answer with its end token, and give -100 to everything else",
        )


PASSES: Sequence[CauseCase] = (CauseCase(name="other_probe", run=preflight_run("causal:future_seen")), UNWATCHED)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="label_mask_all_ignored", run=preflight_run("label_mask:all_ignored"), standing=Standing.MEASURED),
    CauseCase(name="label_mask_end_cut", run=preflight_run("label_mask:end_cut"), standing=Standing.MEASURED),
)
