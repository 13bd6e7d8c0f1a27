"""score_computed_wrong: a score of validation contradicts the loss, or another score, of the same answers."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.curves._signs import coded, found
from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import run_from


class ScoreComputedWrong(Cause):
    """An accuracy cannot be what the loss of the same answers allows: it is computed wrongly, or of other answers."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = coded(evidence, "loss_fits_accuracy", "accuracy_contradicts_loss")
        if finding is None:
            return None
        return found(
            self,
            Standing.LIKELY,
            "the score is computed wrongly: the loss of the same answers allows no such score",
            finding_facts(finding),
            fix="look at the axis of argmax, at what is compared with what, and at what is divided by what",
            explain="loss_fits_accuracy",
            explains=("memorises", "generalisation_gap", "metric_constant", "nothing_learned", "predictions_constant"),
        )


_TRAINED = {"train_loss": made.lines(8, 1.0, 0.35), "train_acc": made.lines(8, 0.7, 0.91)}
PASSES: Sequence[CauseCase] = (
    CauseCase(name="fits", run=run_from({**_TRAINED, "val_loss": [0.36] * 8, "val_acc": made.lines(8, 0.7, 0.9)})),
    CauseCase(
        name="hard_validation",
        run=run_from({**_TRAINED, "val_loss": made.lines(8, 1.6, 1.36), "val_acc": [0.4] * 8}),
    ),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="other_axis",
        run=run_from({**_TRAINED, "val_loss": made.lines(8, 0.6, 0.36), "val_acc": [0.0, 0.1] * 4}),
        standing=Standing.LIKELY,
    ),
    CauseCase(
        name="always_zero",
        run=run_from({**_TRAINED, "val_loss": made.lines(8, 0.6, 0.36), "val_acc": [0.0] * 8}),
        standing=Standing.LIKELY,
    ),
)
