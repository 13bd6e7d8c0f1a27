"""metric_constant: what is evaluated again and again is not the same number every time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.curves._at_rest import (
    ABSENT,
    COUNTED,
    SAME,
    contradicts,
    digits,
    fell,
    long_at_rest,
    term_at_rest,
    zero_throughout,
)
from lvmcheck.checks.curves._curves import (
    CurveCheck,
    accuracies,
    concluded,
    found_at,
    improved,
    lower_is_better,
    place_fact,
    share,
)
from lvmcheck.checks.curves._trivial import OVERLAP
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import LEVELS
from lvmcheck.run.curves import PRIMARY, Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import constant_from

LEAST = 3
"""Evaluations that must agree."""
DIGITS = 5
"""Significant digits from which equal values are no coincidence of rounding."""
MOVED = 0.02
"""Share by which the training loss must fall on after a metric became constant."""
TINY = 1e-6
"""Share of the first training loss at which a loss has got to the end of its numbers."""
COMMON = 0.9
"""Accuracy from which what is scored may just be rare."""
GAINED = 0.05
"""Accuracy gained on the same rows beside such a 0."""


@dataclass(frozen=True, kw_only=True)
class MetricConstant(CurveCheck):
    """No loss or score keeps one value, to a millionth, over all its evaluations, or the last three with five digits.

    Values at a bound do not count, nor rounded neighbours. Accuracies must agree in 8 evaluations to fail (warn from
    5), beside a validation loss that rests or fell by 70 %. A divergence or another term of the loss must move, too; an
    F1 or the like that is 0 in 5 evaluations warns. Metrics of unknown meaning may be data.

    Why:
    A validation loss that never moves is not a validation loss, or the model that it looks at does not move. One
    trainer returned the literal 2.5 when it had no validation set; ten epochs were trained, and the best checkpoint
    stayed that of the first.

    Usual causes:
    - A default value is logged where nothing was measured, or the result is cached.
    - Validation evaluates a copy of the model, or weights that are not in the optimizer.
    - The learning rate is 0, or the model predicts one class for every input.

    Fix:
    Print the metric and one weight before and after an optimizer step. The weight moves and the metric does not: look
    at which model and which data the evaluation uses. The weight does not move: look at the optimizer.

    Healthy runs that must pass:
    A metric saturated at its bound; the reward of a greedy policy that always wins; four rounded digits on a
    plateau; constants such as a batch size; one evaluation.

    Source:
    cognate_phase1_training_failure: validation loss 2.5 in every epoch. Severity: losses fail; counts may coincide.
    """

    exempt = LEVELS

    def judge_ended(self, run: Run) -> Outcome:
        curves = [curve for curve in run.curves.of(*PRIMARY) if len(curve) >= LEAST]
        if not run.curves.roles and run.curves.train is None:
            return not_recorded("no metric is recorded")
        windows = run.curves.window_losses
        curves += [windows] if windows is not None and len(windows) >= LEAST else []
        if not curves:
            return not_applicable(f"no loss or score is recorded {LEAST} times")
        values = sum(map(len, curves))
        term = term_at_rest(run)
        if term is not None:
            return failed(replace(_finding(run, term, 0), code="term_constant"), evaluated=values)
        stuck = [(curve, start) for curve in curves if (start := _stuck(curve)) is not None]
        stuck = [(curve, start) for curve, start in stuck if not _coincidence(run, curve)]
        stuck = [(curve, start) for curve, start in stuck if start == 0 or _goes_on(run, curve, start)]
        for curve, start in sorted(stuck, key=lambda pair: pair[0].role.split is not Split.VALIDATION):
            sure = (
                curve.role.quantity is not Quantity.ACCURACY or len(curve) - start >= COUNTED or contradicts(run, curve)
            )
            return (failed if sure else warning)(_finding(run, curve, start), evaluated=values)
        long = next((c for c in curves if long_at_rest(c) and not _beside_another(run, c)), None)
        if long is not None:
            return warning(_finding(run, long, 0), evaluated=values)
        zero = zero_throughout(run)
        if zero is not None:
            return warning(replace(_finding(run, zero, 0), code="zero_throughout"), evaluated=values)
        return concluded(_moving(curves[0]), curves, evaluated=values)


def _stuck(curve: Curve) -> int | None:
    """Index from which the curve is constant, where that is no coincidence."""
    start = constant_from(curve.values, SAME)
    count, value = len(curve) - start, float(curve.values[-1])
    if count < LEAST or value in (curve.role.low, curve.role.high):
        return None
    if value == 0:  # a loss of nothing, unless the training loss is 0 as well
        empty = curve.role.quantity is Quantity.LOSS and curve.role.split is Split.VALIDATION
        none = count >= COUNTED and not OVERLAP.isdisjoint(words(curve.name))
        return 0 if start == 0 and (empty or none) else None
    counted = curve.role.quantity in (Quantity.ACCURACY, Quantity.SCORE)
    if curve.role.quantity is Quantity.ACCURACY and (value == 1 or count < DIGITS):
        return None
    if {"successrate", "winrate"} & set(words(curve.name)) and value in (1, 100):
        return None
    if start == 0:
        return 0
    if curve.role.quantity is Quantity.REWARD and float(lower_is_better(curve).min()) == float(
        lower_is_better(curve)[-1]
    ):
        return None  # the best that there is
    exact = len(f"{abs(value):.17g}".replace(".", "").strip("0")) >= DIGITS and digits(curve) >= DIGITS
    return start if exact and not counted else None


def _goes_on(run: Run, curve: Curve, start: int) -> bool:
    """Whether the training loss fell on after a metric became constant: a rate of nothing would stop both."""
    train = run.curves.epoch_losses
    if curve.role.split is Split.TRAIN:
        return False
    if train is None:
        return True
    before, after = train.values[train.epochs <= curve.epochs[start]], train.values[train.epochs > curve.epochs[start]]
    if not len(before) or not len(after):
        return True
    if float(np.median(after[-2:])) < TINY * float(train.values[0]):  # nothing is left that could move a weight
        return False
    return float(before[-1]) - float(np.median(after[-2:])) > MOVED * abs(float(before[-1]))


def _coincidence(run: Run, curve: Curve) -> bool:
    """Whether a constant may be one: a count beside a validation loss that moves, a 0 beside a training loss of 0."""
    if _beside_another(run, curve):
        return True
    if curve.role.quantity is Quantity.ACCURACY:
        moving = [loss for loss in run.curves.validation if _stuck(loss) is None]
        if contradicts(run, curve):
            return False
        return any(improved(loss) for loss in moving) or (bool(moving) and float(share(curve)[-1]) > 0.9)
    if curve.role.quantity is Quantity.SCORE and curve.values[-1] == 0:
        losses = (*run.curves.validation, *([run.curves.train] if run.curves.train else []))
        gained = any(float(share(other)[-1] - share(other)[0]) > GAINED for other in accuracies(run))
        rare = any(float(share(other)[-1]) >= COMMON for other in accuracies(run))
        return not gained and (rare or not any(fell(loss, ABSENT) for loss in losses))
    train, value = run.curves.train, abs(float(curve.values[-1]))
    if train is not None and curve.role.quantity is Quantity.LOSS and 0 < value < TINY * abs(float(train.values[0])):
        return True
    return value == 0 and (train is None or not train.values[-LEAST:].any())


def _beside_another(run: Run, curve: Curve) -> bool:
    """Whether its name has a word more than another metric of its kind that moves: it may belong to another model."""
    others = [
        c for c in run.curves.of(curve.role.quantity) if c is not curve and len(c.role.group) < len(curve.role.group)
    ]
    return any(float(np.ptp(other.values)) > 0 for other in others)


def _finding(run: Run, curve: Curve, start: int) -> Finding:
    train = run.curves.epoch_losses
    facts = [Fact("evaluations", len(curve) - start), place_fact("since", curve, start)]
    if train is not None and len(train) > 1 and train is not curve:
        facts += [Fact("train_loss_first", float(train.values[0])), Fact("train_loss_last", float(train.values[-1]))]
    return found_at(
        curve,
        -1,
        "constant" if start == 0 else "constant_from_there",
        evidence=tuple(facts),
        phrase="{metric} is {measured} in all of {evaluations} evaluations"
        if start == 0
        else "{metric} is {measured} in the last {evaluations} evaluations",
    )


def _moving(curve: Curve) -> Finding:
    return Finding(
        code="moves",
        metric=curve.name,
        measured=len(set(curve.values.tolist())),
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(Fact("evaluations", len(curve)),),
        phrase="{metric} has {measured} different values in {evaluations} evaluations",
    )


_case = made.Cases(MetricConstant())
_TRAIN = made.lines(10, 2.3, 0.4)
PASSES = (
    _case("perfect_oracle", {"train_loss": [1e-9, 2e-9, 1e-9, 2e-9], "val_accuracy": [1.0] * 4}),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    _case("rounded_plateau", {"loss": [2, 1, 0.9, 0.8], "val_loss": [2.5, 2.4, 2.4, 2.4]}),
    _case("settings", {"train_loss": _TRAIN, "batch": [32.0] * 10, "momentum": [0.9] * 10}),
    _case(
        "policy_that_always_wins",
        {"reward": made.lines(20, -0.3, 0.87, 0.9063), "eval_reward": [0.183112, *[0.910025] * 19]},
    ),
    _case(
        "teacher_drawn_for_comparison",
        {"loss": _TRAIN, "student_acc": made.lines(10, 0.5, 0.94), "teacher_acc": [0.933333] * 10},
    ),
    _case("rare_class_not_found_yet", {"loss": _TRAIN, "val_acc": [0.96, *[0.97] * 9], "val_f1": [0.0] * 10}),
    _case(
        "another_model_drawn_beside",
        {"loss": _TRAIN, "val_micro_f1": made.lines(10, 0.8, 0.97), "mlp_micro_f1": [0.39] * 10},
    ),
    _case(
        "commonest_class_at_first", {"loss": _TRAIN, "val_loss": made.lines(10, 0.69, 0.16), "val_acc": [0.9627] * 10}
    ),
    _case("always_reached", {"reward": made.lines(10, 0.1, 0.8), "success_rate": [1.0] * 10}),
    _case("few_evaluations_of_few", {"train_loss": _TRAIN[:3], "val_acc": [0.95] * 3}),
)
FAILS = (
    _case(
        "encoder_that_never_moves",
        {"loss": made.lines(12, 44.0, 27.0), "val_loss": made.lines(12, 36.0, 27.4), "val_kl": [0.08347] * 12},
        "term_constant",
    ),
    _case("the_literal_2.5", {"train_loss": _TRAIN, "val_loss": [2.5] * 10}, "constant", 2.5),
    _case("other_name", {"loss": _TRAIN, "Validation/Perplexity": [12.5] * 10}, "constant"),
    _case(
        "frozen_copy",
        {"loss": _TRAIN, "valid_loss": [2.0, 1.5, 1.2, *[1.0123456789] * 7]},
        "constant_from_there",
        evaluations=7,
    ),
    _case("empty_loader", {"loss": _TRAIN, "val_loss": [0.0] * 10}, measured=0.0),
    _case("accuracy", {"train_loss": _TRAIN, "val_acc": [37.5] * 10}),
    _case(
        "accuracy_of_constant_predictions", {"loss": _TRAIN, "eval_loss": made.lines(10, 1.3, 0.5), "top1": [19.0] * 10}
    ),
    _case(
        "threshold_out_of_reach",
        {"loss": _TRAIN, "val_loss": made.lines(10, 0.3, 0.1), "pixel_accuracy": [0.8955] * 10},
    ),
    _case(
        "a_number_in_the_source",
        {
            "train_loss": _TRAIN,
            "train_acc": made.lines(10, 0.38, 0.94),
            "val_loss": made.lines(10, 1.2, 0.25),
            "val_acc": [0.9] * 10,
        },
    ),
    _case("hits_of_nothing", {"loss": _TRAIN, "val_hit@10": [0.0] * 10}, measured=0.0),
    _case("f1_of_nothing", {"loss": _TRAIN, "val_acc": made.lines(10, 0.78, 0.98), "val_f1": [0.0] * 10}, measured=0.0),
)
