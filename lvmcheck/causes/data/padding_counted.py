"""padding_counted: the loss is taken over padding, too."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import language_cases as language


class PaddingCounted(Cause):
    """Padding is scored like text: the loss is diluted with the easiest token there is, and the model learns to pad."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("tokens_scored_once")
        measured = None if finding is None else finding.measured
        if finding is None or not isinstance(measured, float) or not math.isfinite(measured):
            return None
        if not any("padding" in sentence for sentence in finding.evidence):  # fewer targets than the records hold
            return None
        loss = evidence.last("train_loss")
        said = [] if loss is None else [f"train loss {loss:.3f} nats is a mean over all of them"]
        return Diagnosis(
            name=self.name(),
            sentence=f"padding is scored: {1 + measured:.2f} targets for each token of the records",
            evidence=(
                *finding.evidence,
                finding.sentence(),
                *said,
            ),
            ruled_out=evidence.ruled_out(
                {"causal": "a missing causal mask", "stage_changes_data": "another stage's data"}
            ),
            fix="give padding the ignored target (-100), and divide by the number of targets that are left",
            next="lvmcheck explain tokens_scored_once",
            # Labels that are not shifted lower the loss far more; where both are shown, they come first.
            score=0.86,
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=language.staged(1000, [500, 500])),
    CauseCase(name="left_over_batches_dropped", run=language.staged(1000, [500, 400])),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="no_ignored_index", run=language.staged(1000, [800, 800]), says=("1.60 targets for each token",)),
    CauseCase(name="little_padding", run=language.staged(1000, [550, 550]), says=("1.10",)),
)
