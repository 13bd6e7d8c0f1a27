"""wrong_scale: the loss is multiplied by a factor, or by the wrong criterion."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import Coded
from lvmcheck.causes.curves._signs import accurate, coded, found
from lvmcheck.causes.protocol import Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import run_from


class WrongScale(Coded):
    """The loss is a constant multiple of what it should be, or rests on the floor of another criterion."""

    def by_figures(self, evidence: Evidence) -> Diagnosis | None:
        summed = coded(evidence, "loss_is_optimised", "summed")
        rows = coded(evidence, "validation_in_scale", "sum_of_rows")
        floor = rows or summed or evidence.failed("loss_floor") or coded(evidence, "loss_inputs", "out_of_range")
        ratio = coded(
            evidence, "train_val_ratio", "whole_multiple", "constant_multiple", "large_multiple", "ends_at_minus_one"
        )
        high = coded(evidence, "loss_fits_accuracy", "loss_above_accuracy")
        finding = floor or ratio or _flat_but_good(evidence) or high
        if finding is None:
            finding = evidence.failed("initial_loss") if not _others(evidence) else None
        if finding is None:
            return None
        return found(
            self,
            STANDINGS.get(finding.code, Standing.CONSISTENT),
            PHRASES.get(finding.code, "the loss has another scale than it should have"),
            finding_facts(finding),
            fix="average over samples and accumulated batches; give the criterion logits; check the temperature",
            explain=EXPLAIN.get(finding.code, "initial_loss"),
            explains=(
                "loss_is_optimised",
                "loss_inputs",
                "loss_diverging",
                "train_val_ratio",
                "initial_loss",
                "nothing_learned",
                "loss_fits_accuracy",
                "validation_in_scale",
            ),
            also=ALSO.get(finding.code, ()),
            tell_apart="compute the loss of one batch by hand and divide: print(loss.item() / mine)"
            if finding.code in ALSO
            else "",
        )


STANDINGS = {
    "summed": Standing.MEASURED,
    "sum_of_rows": Standing.LIKELY,
    "out_of_range": Standing.MEASURED,
    "double_softmax": Standing.MEASURED,
    "whole_multiple": Standing.MEASURED,
    "ends_at_minus_one": Standing.LIKELY,
    "constant_multiple": Standing.LIKELY,
    "large_multiple": Standing.LIKELY,
    "barely_moved": Standing.LIKELY,
    "loss_and_accuracy_disagree": Standing.LIKELY,
    "loss_above_accuracy": Standing.LIKELY,
}
PHRASES = {
    "out_of_range": "{function} is given targets outside of 0 to 1",
    "summed": "the losses of {backwards} backward passes are summed where their mean is reported",
    "sum_of_rows": "the validation loss is a sum where a mean is meant: {nats_per_error} nats for each wrong answer",
    "double_softmax": "softmax is applied twice: the loss rests at its floor {floor}",
    "whole_multiple": "the training loss is {factor} times too large: a sum where a mean is meant",
    "ends_at_minus_one": "the loss is the likelihood of probabilities without a log: it ends at -1",
    "constant_multiple": "the training loss is a constant multiple of {other_metric}",
    "large_multiple": "one of two losses is many times the other, from the first epoch on",
    "loss_and_accuracy_disagree": "the loss gives right answers no probability: logits are scaled down",
    "loss_above_accuracy": "the loss gives right answers no probability: softmax twice, or no temperature",
    "far_above": "the first loss is far above the expected {expected}",
}
EXPLAIN = {
    "out_of_range": "loss_inputs",
    "summed": "loss_is_optimised",
    "sum_of_rows": "validation_in_scale",
    "double_softmax": "loss_floor",
    "whole_multiple": "train_val_ratio",
    "ends_at_minus_one": "train_val_ratio",
    "constant_multiple": "train_val_ratio",
    "large_multiple": "train_val_ratio",
    "barely_moved": "nothing_learned",
    "loss_and_accuracy_disagree": "nothing_learned",
    "loss_above_accuracy": "loss_fits_accuracy",
}
ALSO = {
    "sum_of_rows": ("validation_differs",),
    "ends_at_minus_one": ("loss_sign",),
    "far_above": ("learning_rate_too_high", "initial_outputs_too_large"),
    "large_multiple": ("validation_differs",),
    "barely_moved": ("not_learning",),
    "loss_and_accuracy_disagree": ("not_learning",),
}


def _flat_but_good(evidence: Evidence) -> Finding | None:
    """A loss that hardly moved beside an accuracy that is far from chance."""
    disagree = coded(evidence, "nothing_learned", "loss_and_accuracy_disagree")
    finding = disagree or coded(evidence, "nothing_learned", "barely_moved")
    return finding if accurate(evidence.run) else None


def _others(evidence: Evidence) -> bool:
    """Whether something else failed that a first loss does not explain."""
    return any(evidence.failed(check) for check in ("loss_diverging", "finite", "gradient_norm_grows"))


_FALL = made.lines(8, 2.9, 2.2, 2.0)
PASSES = (
    case("dropout", {"train_loss": [1.6 * v for v in _FALL], "val_loss": _FALL}),
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
)
FAILS = (
    case(
        "validation_of_the_easy_half",
        {"loss": made.lines(12, 0.67, 0.49), "val_loss": made.lines(12, 0.12, 0.072)},
        Standing.LIKELY,
    ),
    case(
        "accumulation_summed",
        run_from({"loss": [8.02 * v for v in _FALL], "eval_loss": _FALL}, config={"accumulation": 8}),
        Standing.MEASURED,
        factor=8,
    ),
    case(
        "validation_not_divided",
        {"train_loss": made.lines(15, 2.1, 0.3, 0.05), "val_loss": made.lines(15, 615.0, 153.0, 124.0)}
        | {"val_acc": made.lines(15, 0.69, 0.91, 0.93)},
        Standing.LIKELY,
    ),
    case(
        "no_temperature",
        {
            "train_loss": made.lines(20, 3.9, 3.5),
            "val_loss": made.lines(20, 5.39, 5.29),
            "recall@1": made.lines(20, 0.51, 0.6),
        },
        Standing.LIKELY,
    ),
    case(
        "double_softmax",
        {"train_loss": made.lines(12, 2.08, 1.275, 1.274, 1.2735), "val_acc": made.lines(12, 18.0, 99.0)},
        Standing.MEASURED,
    ),
)
