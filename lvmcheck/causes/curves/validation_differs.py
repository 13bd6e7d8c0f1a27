"""validation_differs: validation is not measured on data like the training data."""

from __future__ import annotations

from collections.abc import Mapping

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import (
    apart,
    coded,
    failed_first,
    found,
    train_facts,
    training_learns,
    validation_learned,
)
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves.first_epoch_agrees import first_epoch_run
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.roles import Split
from lvmcheck.run.view import run_from


class ValidationDiffers(Cause):
    """Training learns, and validation stays bad: its data, labels or mode of the model differ."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        prepared = evidence.failed("validation_scaled_alike")
        if prepared is not None:
            return found(
                self,
                Standing.MEASURED,
                "validation rows are scaled by other numbers than training rows",
                finding_facts(prepared),
                fix="compute mean and deviation once, on training rows, and use them for both sets",
                explain="validation_scaled_alike",
                explains=("validation_in_scale", "memorises", "loss_diverging", "overfits", "generalisation_gap"),
            )
        scaled = evidence.failed("validation_in_scale")
        if scaled is not None and scaled.code == "sum_of_rows":
            return None  # see wrong_scale
        if scaled is not None and scaled.code in ALSO:
            return self._in_scale(evidence, scaled)
        stays = self._stays_bad(evidence) or self._at_first(evidence)
        if stays is None and scaled is not None and training_learns(evidence.run, 0.25):
            return self._in_scale(evidence, scaled)
        return stays

    def _stays_bad(self, evidence: Evidence) -> Diagnosis | None:
        finding = failed_first(evidence, "memorises", "loss_diverging", "overfits")
        role = evidence.run.curves.roles.get(str(finding.metric)) if finding is not None else None
        stuck = coded(evidence, "metric_constant", "constant")
        if finding is None or role is None or role.split is not Split.VALIDATION or stuck is not None:
            return None
        far, worse = apart(evidence.run), finding.code == "above_untrained"
        if not training_learns(evidence.run, 0.25) or (validation_learned(evidence.run) and far is None):
            return None
        return found(
            self,
            Standing.CONSISTENT if far is None and not worse else Standing.LIKELY,
            "validation stays bad while training learns: the sets may be prepared differently",
            (*finding_facts(finding), *([] if far is None else [far]), *train_facts(evidence.run)),
            fix="compare mean and deviation of one batch of each set, and call model.eval() in the validation",
            explain="memorises",
            explains=("loss_diverging", "overfits"),
            also=("label_mismatch", "overfitting" if far is None and not worse else "wrong_scale"),
            tell_apart="evaluate training samples in the validation loop, with the preparation of validation",
        )

    def _at_first(self, evidence: Evidence) -> Diagnosis | None:
        finding = coded(evidence, "first_epoch_agrees", "apart")
        if finding is None:
            return None
        return found(
            self,
            Standing.LIKELY,
            "validation is far above training from the first epoch on: {metric} is at best {ratio} its training loss",
            (Fact("metric", finding.metric), Fact("ratio", finding.measured, "x"), *finding.evidence),
            fix="compare mean, deviation and order of the columns of one batch of each set, and the model that is "
            "evaluated with the one that is trained",
            explain="first_epoch_agrees",
            explains=("overfits", "memorises", "train_val_ratio", "generalisation_gap"),
            also=("label_mismatch", "wrong_scale", "copy_never_updated", "duplicated_rows", "augmentation_frozen"),
            tell_apart="evaluate the last 50 training batches in the validation loop after one epoch",
        )

    def _in_scale(self, evidence: Evidence, finding: Finding) -> Diagnosis:
        return found(
            self,
            Standing.LIKELY if finding.code in ALSO else Standing.CONSISTENT,
            "{metric} is of another size than training allows: validation is prepared or reduced differently",
            (Fact("metric", finding.metric), *finding_facts(finding), *train_facts(evidence.run)),
            fix="compare minimum, maximum, mean and deviation of one batch of each loader; average the validation loss "
            "as the training loss is",
            explain="validation_in_scale",
            explains=("memorises", "loss_diverging", "overfits", "train_val_ratio", "generalisation_gap"),
            also=("wrong_scale", *ALSO.get(finding.code, ())),
            tell_apart="evaluate a training batch in the validation loop: as bad there is the loop or its reduction",
        )


ALSO: Mapping[str, tuple[str, ...]] = {
    "far_above_and_wild": ("numeric_range",),
    "errors_cost_too_much": ("overfitting",),
    "psnr_below_zero": (),
}
"""What fails, with what else looks the same."""
_TRAIN = made.lines(20, 2.1, 0.5, 0.05)
PASSES = (
    case("generalises", {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.1, 0.6, 0.5)}),
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
)
_OTHER = {"ratio": 0.6, "shift": 0.0, "even": 0.05, "even_shift": 0.1, "rows": 256.0, "features": 144.0}
FAILS = (
    case("columns_in_another_order", first_epoch_run([1.7, 1.4, 1.45]), Standing.LIKELY),
    case("half_the_range", case_run("data_scale", [_OTHER]), Standing.MEASURED),
    case(
        "peak_of_another_range",
        {"loss": made.lines(10, 0.3, 0.03), "val_psnr": made.lines(10, -29.0, -27.0)},
        Standing.LIKELY,
    ),
    case(
        "exp_applied_twice",
        {"nll": made.lines(8, -2.3, -4.5), "val_nll": [1e7, 1e13, 2e13, 6e11, 5e10, 3e9, 6e8, 7e9]},
        Standing.LIKELY,
    ),
    case("not_normalised", {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.2, 3.0, 4.5)}),
    case(
        "another_vocabulary",
        made.window_run([4.8], steps=1).extended(
            run_from({"train_loss": made.lines(6, 3.3, 2.3), "val_loss": [5.38, 5.3, 5.48, 5.56, 5.57, 5.57]}).events
        ),
        Standing.LIKELY,
    ),
    case("flat", {"train_mse": _TRAIN, "loss": _TRAIN, "valid_mse": made.lines(20, 2.9, 2.8, 2.9)}),
)
