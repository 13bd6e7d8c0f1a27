"""nothing_learned: some metric got better than its first value, or than a trivial predictor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._blow_ups import samples_improve
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.curves._curves import (
    CurveCheck,
    accuracies,
    concluded,
    course,
    found_at,
    improved,
    lower_is_better,
    share,
)
from lvmcheck.checks.curves._evaluations import explores, hardly_trained, not_on_evaluations
from lvmcheck.checks.curves._trivial import LEAST, LITTLE, PARTS, at_trivial, good_already, near_uniform
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import AS_RECORDED
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.curve import shape, trend

ENOUGH, CERTAIN = 5, 10
"""Values of all curves together from which a flat run is suspicious, and from which it fails."""
FEW = 100
"""Optimizer steps below which a run at chance may only have been short; a flat loss alone, below twice as many."""
MANY = 8
"""Evaluations from which a run at chance has failed, however few its steps."""
FAIR = 0.5
"""Accuracy that a short run may have begun with because it was trained before."""
SLOW = 4.0
"""Standard deviations of all trends together from which a tiny improvement is one."""
TRACE = 0.005
"""Share of its first value that a loss of few evaluations must fall by."""
SOME = 2.0
"""Standard deviations of all trends together from which a run that looks flat may be slow."""


@dataclass(frozen=True, kw_only=True)
class NothingLearned(CurveCheck):
    """At least one recorded metric improves beyond its own noise, and ends better than a trivial predictor.

    Looked at: training and validation loss, and every metric with a known direction. It fails where all are flat over
    10 values (warns from 5); where accuracy ends at 1/K and the loss at ln K; where losses rest at ln K, or at ln of
    the rows that a batch compares; where a declared trivial predictor is not beaten (facts chance, majority_share,
    unigram_entropy, target_variance); where the training loss falls and no evaluated metric improves in 8 evaluations;
    where an accuracy is good and the loss says nothing of it; where the KL term of an autoencoder ends at 0; where a
    language model of few signs is next to ln V after 200 steps. A loss alone, flat for under 200 steps, warns.

    Why:
    The commonest failure of all: 21 of 57 one-line faults in a small classifier end at chance, and nothing else in the
    log is wrong. A flat loss at ln K is what a model gives that knows nothing.

    Usual causes:
    - optimizer.step() is not called, or the optimizer holds other parameters than the model's.
    - The learning rate is 0, far too low, or so high that the first steps destroyed the model.
    - The graph is cut: detach(), .item(), no_grad() or argmax before the loss.
    - Labels do not belong to the inputs, or the inputs are all alike after preprocessing.

    Fix:
    Train on one batch of 8 samples until its loss is near 0. Print the gradient norm and one weight before and after a
    step: no gradient means a cut graph, a gradient without a change means the optimizer.

    Healthy runs that must pass:
    A long plateau and then a drop; a fine-tune that starts good; a loss that falls within the first logged interval;
    adversarial losses; a policy whose reward rises while its loss does not fall.

    Source:
    Severity: fails, since no healthy run ends where it began.
    """

    exempt = AS_RECORDED

    def judge_ended(self, run: Run) -> Outcome:
        curves = _judged(run)
        values = sum(len(curve) for curve in curves)
        if curves and run.curves.rewards and run.curves.train is not None and _still(run.curves.train):
            values += len(run.curves.train)
        if not curves:
            if run.curves.adversarial:
                return not_applicable("GAN losses need not fall, and no score is recorded")
            return not_recorded("no loss or other metric with a known direction is recorded four times")
        if explores(run):
            return not_applicable("most actions are drawn at random so far")
        trivial = at_trivial(run)
        if trivial is not None:
            short = trivial.code == "at_chance" and 0 < run.step < FEW and max(map(len, curves)) < MANY
            return (warning if short else failed)(trivial, evaluated=values)
        unlearned = not_on_evaluations(run)
        if unlearned is not None:
            return failed(unlearned, evaluated=values)
        moved = [c for c in curves if improved(c) or (run.curves.adversarial and samples_improve(c))]
        good = any(good_already(run, curve) for curve in curves)
        if moved and not good and not any(map(_clearly, moved)):
            slow = _together(curves) < -SLOW
            barely = _finding(run, "barely_moved", moved[0], len(curves))
            sure = values >= CERTAIN and (not slow or hardly_trained(run)) and not _short_fine_tune(run)
            return (failed if sure else warning)(barely, evaluated=values)
        stuck = next((curve for curve in curves[:1] if not good and _frozen(curve)), None)
        if stuck is not None:
            return failed(_finding(run, "stuck", stuck, len(curves)), evaluated=values)
        uniform = near_uniform(run)
        if uniform is not None:
            return (failed if hardly_trained(run) else warning)(uniform, evaluated=values)
        if moved or good:
            return concluded(_finding(run, "learned", (moved or curves)[0], len(curves)), curves, evaluated=values)
        if values < ENOUGH:
            return not_applicable(f"{values} values are too few to tell flat from slow")
        flat = _finding(run, "flat", curves[0], len(curves))
        if not all(map(_motionless, curves)) and (_together(curves) <= -SOME or any(map(_apart, curves))):
            return not_applicable("the curves are too noisy to tell flat from slow")
        short = _short_fine_tune(run) or (len(curves) == 1 and 0 < run.step < 2 * FEW and not run.curves.rewards)
        return failed(flat, evaluated=values) if values >= CERTAIN and not short else warning(flat, evaluated=values)


def _judged(run: Run) -> list[Curve]:
    curves = run.curves
    if curves.rewards or curves.adversarial:  # their losses say nothing of success
        return [curve for curve in curves.rewards or curves.scores if len(curve) >= LEAST]
    train = [curves.train] if curves.train is not None else []
    return [curve for curve in (*train, *curves.validation, *curves.scores) if len(curve) >= LEAST]


def _short_fine_tune(run: Run) -> bool:
    """Whether little had to move from an accuracy that is no chance, in few steps, or a little did."""
    whole = [curve for curve in accuracies(run) if not PARTS & set(words(curve.name))]
    fair = any(float(share(curve)[0]) >= FAIR for curve in whole)
    creeps = any(len(curve) >= 8 and trend(curve.values) < -SOME for curve in run.curves.validation)
    return fair and (0 < run.step < FEW or creeps)


def _clearly(curve: Curve) -> bool:
    """Whether an improvement is more than a hundredth, and more than a few points."""
    found = shape(lower_is_better(curve))
    if curve.role.quantity is Quantity.ACCURACY and len(curve) >= 8:
        return abs(found.first - found.low) > LITTLE * (100 if curve.role.unit == "%" else 1)
    if curve.role.quantity is Quantity.SCORE and len(curve) >= 8:
        return abs(found.first - found.low) > LITTLE * abs(found.first)
    if len(curve) < 8 and curve.role.quantity in (Quantity.LOSS, Quantity.ERROR) and found.low > 0:
        return found.first - found.low > TRACE * abs(found.first)
    few = len(curve) < 8 or curve.role.quantity not in (Quantity.LOSS, Quantity.ERROR) or found.low <= 0
    start = max(found.first, float(curve.values[0])) if not few else found.first
    return few or start - found.low > LITTLE * abs(start)


def _together(curves: Sequence[Curve]) -> float:
    """The trends of all curves as one standard normal deviate; negative where they get better."""
    deviates = [trend(lower_is_better(curve)) for curve in curves if len(curve) >= 4]
    return sum(deviates) / math.sqrt(len(deviates)) if deviates else 0.0


def _still(curve: Curve) -> bool:
    """Whether a curve ends where it began, and was nowhere else."""
    found = shape(curve.values)
    return max(abs(found.last - found.first), found.high - found.low) <= 4 * found.noise + 0.02 * abs(found.first)


def _motionless(curve: Curve) -> bool:
    """Whether a curve is nowhere a hundredth from where it began."""
    return float(np.ptp(curve.values)) <= 0.01 * abs(float(curve.values[0]))


def _frozen(curve: Curve) -> bool:
    """Whether a training loss stands still, to its fourth digit, through half of a run and next to where it began."""
    values, train = curve.values, curve.role.quantity is Quantity.LOSS and not curve.by_step
    late = values[len(values) // 2 :]
    still = len(values) >= 2 * LEAST and float(np.ptp(late)) <= 2e-4 * abs(float(late[-1]))
    return train and still and float(late[-1]) >= 0.9 * float(values[0]) > 0


def _apart(curve: Curve) -> bool:
    """Whether the ends of a curve are so far apart that its noise alone may hide what it learned."""
    found = shape(lower_is_better(curve))
    return curve.role.quantity is Quantity.LOSS and found.first - found.last > 0.1 * abs(found.first)


_PHRASES = {
    "flat": "none of {curves} curves improved beyond its noise: {metric} {first} at first, {last} at last",
    "stuck": "{metric} {first} at first and {last} at last stands still through half of the run",
    "barely_moved": "no curve fell by more than a hundredth: {metric} {first} at first, {last} at last",
}


def _finding(run: Run, code: str, curve: Curve, count: int) -> Finding:
    found = shape(curve.values)
    return found_at(
        curve,
        -1,
        code,
        found.last,
        evidence=(*course(run, curve), Fact("noise", found.noise), Fact("curves", count)),
        phrase=_PHRASES.get(code, "{metric} went from {first} to {last}"),
    )


_case = made.Cases(NothingLearned())
_FALL = made.lines(10, 2.3, 0.9, 0.5)
_FLAT = {"train_loss": wave(2.303, 0.02), "val_loss": wave(2.304, 0.003), "val_acc": wave(0.1, 0.004)}
PASSES = (
    _case("perfect_oracle", {"train_loss": [0.0] * 5, "val_loss": [0.0] * 5}),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    _case("plateau_then_drop", {"train_loss": wave(2.3, 0.02, 15) + _FALL}),
    _case("fine_tune_that_starts_good", {"loss": wave(0.31, 0.03), "val_acc": wave(91.0, 0.3)}),
    _case(
        "neighbours_good_from_the_first_epoch_on", {"loss": made.lines(12, 0.9, 0.3), "knn_acc": wave(0.82, 0.01, 12)}
    ),
    _case(
        "validation_lowest_in_the_first_epoch",
        {"loss": made.lines(12, 0.9, 0.3), "val_loss": wave(0.5, 0.02, 12), "val_acc": wave(0.8, 0.01, 12)},
    ),
    _case("variational", {"elbo_loss": made.lines(12, 37.5, 30.5), "kl": made.lines(12, 0.05, 2.2)}),
    _case(
        "r2_that_is_on_its_way_to_zero",
        {"loss": made.lines(6, 2.3, 1.2), "val_loss": made.lines(6, 2.4, 1.5), "val_r2": made.lines(6, -0.9, -0.2)},
    ),
    _case("ends_at_one", {"loss": made.lines(20, 2.3, 1.0), "val_loss": made.lines(20, 2.2, 1.0)}),
    _case("learns_within_the_first_interval", made.window_run([1.9, *wave(0.5, 0.02, 30)])),
    _case("reward_rises_and_loss_does_not_fall", {"loss": wave(0.01, 0.1), "reward": made.lines(20, 12.0, 190.0)}),
)
FAILS = (
    _case(
        "motionless", {"loss": [0.6927 - 1e-6 * i for i in range(12)], "val_f1": [0.0] * 12, "val_psnr": [2.97] * 12}
    ),
    _case("saturated", {"loss": [6.47, 25.5, 7.7, 6.2, 6.16, 6.155, *[6.154] * 10]}, "stuck"),
    _case("flat_loss", made.window_run(wave(1.7, 0.03, 40)), "flat"),
    _case("at_chance_of_ten_classes", _FLAT, "at_chance", classes_that_the_loss_implies=10),
    _case(
        "unigram",
        made.with_facts(run_from({"val_loss": made.lines(8, 4.2, 3.3, 3.3)}), {"unigram_entropy": 3.29}),
        "at_unigram_entropy",
    ),
    _case(
        "neighbours_at_chance", {"loss": made.lines(12, 0.9, 0.3), "knn_acc": wave(0.21, 0.02, 12)}, "evaluations_flat"
    ),
    _case(
        "temperature_inverted",
        {"train_loss": made.lines(10, 4.07, 3.98), "train_top1": made.lines(10, 17.0, 45.0)},
        "loss_and_accuracy_disagree",
        accuracy=0.419,
    ),
    _case(
        "posterior_collapse",
        {"elbo_loss": made.lines(12, 39.0, 33.5, 33.5), "kl": made.lines(12, 4e-4, 1e-5, 1e-5)},
        "code_without_information",
    ),
    _case("coin", {"loss": wave(0.6933, 0.0005), "val_loss": wave(0.6932, 0.0004)}, "at_ln_2"),
    _case(
        "mean_of_scaled_targets",
        {"loss": made.lines(30, 1.01, 0.998), "val_loss": made.lines(30, 0.9935, 0.9908)},
        "at_one",
    ),
    _case(
        "always_the_commonest_class",
        made.with_facts(
            run_from({"val_loss": made.lines(8, 0.6, 0.33), "val_acc": [0.9] * 8}), {"majority_share": 0.9}
        ),
        "at_majority",
    ),
)
