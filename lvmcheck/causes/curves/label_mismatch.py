"""label_mismatch: validation gains nothing from what training learns."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.curves._signs import (
    coded,
    failed_first,
    found,
    train_facts,
    training_learns,
    validation_learned,
)
from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.roles import Split
from lvmcheck.run.view import run_from


class LabelMismatch(Cause):
    """The training loss falls and validation stays at its beginning: labels may not belong to the inputs."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = failed_first(evidence, "memorises", "overfits") or _validation_alone(evidence)
        stuck = coded(evidence, "metric_constant", "constant")
        if (
            finding is None
            or stuck is not None
            or not training_learns(evidence.run)
            or (validation_learned(evidence.run) and finding.code != "validation_only_rises")
        ):
            return None
        return found(
            self,
            Standing.CONSISTENT,
            "the training loss falls, and validation gains nothing: labels may not belong to the inputs",
            (*finding_facts(finding), *train_facts(evidence.run)),
            fix="look at 20 samples of each set with their labels; check that shuffling moves inputs and labels "
            "together",
            explain="memorises",
            explains=("loss_diverging", "nothing_learned"),
            also=("validation_differs", "label_noise", "overfitting", "not_learning"),
            tell_apart="evaluate training samples in the validation loop: good there means that the sets differ "
            "(labels or "
            "preparation of validation); train on shuffled labels: if the curves are the same the training labels "
            "are random",
        )


def _validation_alone(evidence: Evidence) -> Finding | None:
    """A validation loss that rises from its beginning while training learns."""
    finding = coded(evidence, "loss_diverging", "above_start", "back_at_start")
    role = evidence.run.curves.roles.get(str(finding.metric)) if finding is not None else None
    return finding if role is not None and role.split is Split.VALIDATION else None


_TRAIN = made.lines(20, 2.1, 0.5, 0.05)
_FLAT = {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.1, 2.6, 4.2), "val_acc": wave(0.125, 0.01)}
PASSES: Sequence[CauseCase] = (
    CauseCase(name="generalises", run=run_from({"train_loss": _TRAIN, "val_loss": made.lines(20, 2.1, 0.6, 0.5)})),
    CauseCase(name="overfits", run=run_from({"train_loss": _TRAIN, "val_loss": made.lines(20, 2.1, 0.9, 1.9)})),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="rows_off_by_one",
        run=run_from(
            {"train_loss": made.lines(15, 0.38, 0.209, 0.199, 0.189), "val_loss": made.lines(15, 0.2117, 0.219)}
            | {"val_mAP": made.lines(15, 0.053, 0.063)}
        ),
        standing=Standing.CONSISTENT,
    ),
    CauseCase(name="shuffled_labels", run=run_from(_FLAT, config={"num_classes": 8}), standing=Standing.CONSISTENT),
    CauseCase(
        name="shuffled_targets",
        run=run_from({"train_mse": _TRAIN, "loss": _TRAIN, "valid_mse": made.lines(20, 2.9, 2.85, 2.9)}),
    ),
)
