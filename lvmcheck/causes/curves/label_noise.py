"""label_noise: part of the labels are wrong."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import (
    apart,
    coded,
    failed_first,
    found,
    score_lost,
    train_facts,
    training_learns,
    validation_learned,
)
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import case_run


class LabelNoise(Cause):
    """Validation is best early and then worse, while training memorises its labels."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        drawn = coded(evidence, "targets_match_rows", "noisy")
        if drawn is not None:
            return found(
                self,
                Standing.MEASURED,
                "a part of the training targets does not belong to its inputs, as those of validation do",
                finding_facts(drawn),
                fix="look at the training samples with the highest loss; remove or correct what is wrong",
                explain="targets_match_rows",
                explains=("overfits", "memorises", "loss_diverging", "generalisation_gap"),
            )
        finding = failed_first(evidence, "overfits", "memorises") or score_lost(evidence)
        stuck = coded(evidence, "metric_constant", "constant")
        if finding is None or stuck is not None or not training_learns(evidence.run) or apart(evidence.run) is not None:
            return None
        return found(
            self,
            Standing.CONSISTENT,
            "part of the labels may be wrong: training learns them by heart",
            (*finding_facts(finding), *train_facts(evidence.run)),
            fix="look at the training samples with the highest loss; remove or correct what is wrong",
            explain="overfits",
            explains=("loss_diverging",) if score_lost(evidence) else (),
            also=(
                "overfitting",
                "label_mismatch",
                *(() if validation_learned(evidence.run) else ("validation_differs",)),
            ),
            tell_apart="show the 50 training samples with the highest loss after the best validation epoch",
        )


_TRAIN = made.lines(20, 2.3, 0.4, 0.1, 0.02)
PASSES = (
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    case("both_fall", {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.3, 0.5, 0.4)}),
)
_NOISY = {"train": 0.27, "shifted": 0.0, "val": 0.43, "own": 0.8, "rows": 640.0, "val_rows": 256.0}
FAILS = (
    case("random_labels", case_run("association", [_NOISY]), Standing.MEASURED),
    case(
        "accuracy_falls_while_training_learns",
        {"loss": made.lines(20, 1.54, 1.33), "val_loss": made.lines(20, 1.09, 1.02, 1.107)}
        | {"val_acc": made.lines(20, 0.80, 0.83, 0.64)},
    ),
    case("climbs", {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.2, 0.9, 1.6, 2.4)}),
    case("from_the_start", {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.3, 2.6, 4.0)}),
)
