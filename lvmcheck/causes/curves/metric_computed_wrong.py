"""metric_computed_wrong: a recorded figure contradicts another one of the same answers, or its own definition."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import coded, found
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._at_rest import LEAST_SHARE
from lvmcheck.checks.curves.running_loss_reset import running_run
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.role_names import Quantity

SCORED = ("memorises", "generalisation_gap", "metric_constant", "nothing_learned", "predictions_constant")
KEPT = ("loss_diverging", "train_val_ratio", "learning_kept", "overfits")


@dataclass(frozen=True)
class _Says:
    check: str
    code: str
    standing: Standing
    phrase: str
    fix: str
    explains: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    tell_apart: str = ""
    at_most: float = math.inf


_AXIS = "look at the axis of argmax, at what is compared with what, and at what is divided by what"
ALL = (
    _Says(
        "loss_fits_accuracy",
        "accuracy_contradicts_loss",
        Standing.LIKELY,
        "the score is computed wrongly: the loss of the same answers allows no such score",
        _AXIS,
        SCORED,
    ),
    _Says(
        "related_metrics_agree",
        "out_of_order",
        Standing.LIKELY,
        "one of two metrics of the same answers is computed wrongly: their definitions do not allow this order",
        "compute both for four rows by hand; look at the axis, the logarithm and what is divided by what",
    ),
    _Says(
        "related_metrics_agree",
        "half_of_dice",
        Standing.LIKELY,
        "the union of the IoU is the sum of both areas: the intersection is counted twice",
        "union = a + b - intersection",
    ),
    _Says(
        "perplexity_fits_loss",
        "base_two",
        Standing.LIKELY,
        "the perplexity is taken to base 2 of a loss in nats",
        "math.exp(loss); 2 ** loss is right for a loss in bits only",
    ),
    _Says(
        "running_loss_reset",
        "summed",
        Standing.MEASURED,
        "the running training loss is not reset at the beginning of an epoch",
        "set the running loss and its count to 0 inside of the loop over epochs",
        KEPT,
    ),
    _Says(
        "running_loss_reset",
        "climbs",
        Standing.CONSISTENT,
        "the running training loss may not be reset at the beginning of an epoch",
        "set the running loss and its count to 0 inside of the loop over epochs",
        KEPT,
        ("diverging", "loss_sign"),
        "print the loss of the last step of each epoch beside the recorded one",
    ),
    _Says(
        "never_negative",
        "named_so",
        Standing.LIKELY,
        "{metric} is named after an error that cannot be negative, and is another loss: validation gets better",
        "record it by the name of what it is, such as train_nll",
    ),
    _Says(
        "never_negative",
        "computed_so",
        Standing.LIKELY,
        "{metric} is computed wrongly: such an error cannot be negative, and other scores get better",
        "take absolute values or squares before the mean",
    ),
    _Says(
        "metric_constant",
        "zero_throughout",
        Standing.CONSISTENT,
        "no answer is ever counted as right, while the loss falls",
        _AXIS,
        (),
        ("class_imbalance", "metric_constant"),
        "print predictions and targets of eight rows side by side, with their types and shapes",
    ),
    _Says(
        "metric_constant",
        "constant",
        Standing.CONSISTENT,
        "{metric} counts next to no answer as right in every evaluation, as an accuracy of numbers does",
        "judge a regression by its error; compare classes with classes",
        (),
        ("metric_constant",),
        "print predictions and targets of eight rows side by side, with their types and shapes",
        LEAST_SHARE,
    ),
)


class MetricComputedWrong(Cause):
    """A figure cannot be what others of the same answers allow: it is computed wrongly, or has a wrong name."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        for says in ALL:
            finding = coded(evidence, says.check, says.code)
            if finding is None or not finding.number < says.at_most:
                continue
            role = evidence.run.curves.roles.get(str(finding.metric))
            if says.check == "metric_constant" and (role is None or role.quantity is not Quantity.ACCURACY):
                continue
            return found(
                self,
                says.standing,
                says.phrase.format(metric=finding.metric),
                finding_facts(finding),
                fix=says.fix,
                explain=says.check,
                explains=says.explains,
                also=says.also,
                tell_apart=says.tell_apart,
            )
        return None


_TRAINED = {"train_loss": made.lines(8, 1.0, 0.35), "train_acc": made.lines(8, 0.7, 0.91)}
_MEANS = [1.8, 1.0, 0.8, 0.7, 0.6, 0.6]
_SUMS = [sum(_MEANS[: i + 1]) for i in range(6)]
_VAL = [0.9, 0.5, 0.4, 0.35, 0.3, 0.3]
PASSES = (
    case("fits", {**_TRAINED, "val_loss": [0.36] * 8, "val_acc": made.lines(8, 0.7, 0.9)}),
    case("hard_validation", {**_TRAINED, "val_loss": made.lines(8, 1.6, 1.36), "val_acc": [0.4] * 8}),
)
FAILS = (
    case("other_axis", {**_TRAINED, "val_loss": made.lines(8, 0.6, 0.36), "val_acc": [0.0, 0.1] * 4}, Standing.LIKELY),
    case("never_reset", running_run(_SUMS, _MEANS), Standing.MEASURED),
    case("climbs", {"train_loss": _SUMS, "val_loss": _VAL}, Standing.CONSISTENT),
)
