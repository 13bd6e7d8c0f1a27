"""validation_is_training: validation is measured on the training data."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import found
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.shared import cases as made


class ValidationIsTraining(Cause):
    """The validation metrics equal those of the training set, to the last digit."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("train_val_identical")
        if finding is None:
            return None
        return found(
            self,
            Standing.MEASURED,
            "validation is measured on the training data: {train_metric} is the same in {evaluations} evaluations",
            finding_facts(finding),
            fix="build the validation loader from the validation set, and log each metric from its own variable",
            explain="train_val_identical",
            explains=(),
        )


_FALL = made.lines(8, 2.3, 0.4)
PASSES = (
    case("close", {"train_loss": _FALL, "val_loss": [1.001 * value for value in _FALL]}),
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
)
FAILS = (
    case("same_loader", {"train_loss": _FALL, "val_loss": _FALL}, Standing.MEASURED),
    case("same_errors", {"train_mse": _FALL, "valid_mse": _FALL}),
)
