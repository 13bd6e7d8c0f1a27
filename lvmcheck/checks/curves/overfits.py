"""overfits: the validation loss does not climb while the training loss goes on falling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._curves import (
    SURE,
    CurveCheck,
    accuracies,
    beginning,
    concluded,
    course,
    found_at,
    good_throughout,
    improved,
    lower_is_better,
    share,
)
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import AS_RECORDED
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import shape, trend

LEAST = 4
"""Evaluations from which a curve can turn."""
SLIGHT, MILD = 0.05, 0.15
"""Shares of its minimum: a rise up to the first counts for nothing, up to the second it warns."""
CLEAR = 2.0
"""Times its fall that a validation loss must rise to fail although a score still improves."""
TIMES, LOST, SHARE = 1.5, 0.1, 0.1
"""Times its minimum that a loss ends at beside an accuracy that has lost this much, and this share, of its best."""
LONG = 8
"""Evaluations from which an accuracy has a course."""


@dataclass(frozen=True, kw_only=True)
class Overfits(CurveCheck):
    """No validation loss ends above its minimum by more than `give_back` of its fall while the training loss falls.

    The fall is counted from the first validation or the first training loss, whichever is higher. Rises within four
    standard deviations of the validation noise, or 5 % of the minimum, count for nothing. It warns instead of failing
    up to 15 %, where a validation score still holds its best, or where the run was stopped early by its own rule. It
    fails, too, where a validation accuracy loses 0.1 and a tenth of its best on the way to the end while the loss is no
    longer at its minimum.

    Why:
    Past the minimum every epoch makes the model worse on new data, and the last checkpoint is what people keep. A log
    whose training loss falls nicely hides it.

    Usual causes:
    - Too many epochs for the data, without early stopping.
    - Too few samples for the number of parameters; no weight decay, dropout or augmentation.
    - Validation samples come from elsewhere than the training samples, or their labels do not belong to them.

    Fix:
    Keep the checkpoint of the lowest validation loss and stop there. For a better minimum: more data, augmentation,
    weight decay, a smaller model.

    Healthy runs that must pass:
    A mild rise after the minimum; a noisy loss on a small validation set; a run that early stopping ended.

    Source:
    Severity: fails, because the last weights are measurably worse than
    earlier ones.
    """

    exempt = AS_RECORDED

    give_back: float = 0.5

    def judge_ended(self, run: Run) -> Outcome:
        curves = [curve for curve in run.curves.validation if len(curve) >= LEAST]
        if not run.curves.validation:
            return not_recorded("no validation loss is recorded")
        if not curves or run.curves.adversarial:
            return not_applicable(f"fewer than {LEAST} validation losses" if not curves else "GAN losses")
        values = sum(map(len, curves))
        past = _with_its_accuracy(run, curves)
        if past is not None and not run.of(ev.Early):
            return failed(past, evaluated=values)
        mild: Finding | None = None
        for curve in curves:
            finding = self._overfitted(run, curve)
            if finding is None:
                continue
            if not _excused(run, curve, finding):
                return failed(finding, evaluated=values)
            mild = mild or finding
        if mild is not None:
            return warning(mild, evaluated=values)
        return concluded(
            _finding(run, "kept", curves[0], _scale(run, curves[0]), self.give_back), curves, evaluated=values
        )

    def _overfitted(self, run: Run, curve: Curve) -> Finding | None:
        found = shape(curve.values)
        scale = _scale(run, curve)
        rise = found.last - found.low
        if rise <= max(self.give_back * scale, 4 * found.noise, SLIGHT * abs(found.low)) or not _still_falls(
            run, curve
        ):
            return None
        return _finding(run, "rises_after_minimum", curve, scale, self.give_back)


def _with_its_accuracy(run: Run, curves: Sequence[Curve]) -> Finding | None:
    """A validation loss far above its minimum, or no longer at it, beside an accuracy that falls from its best on."""
    for curve in curves:
        found = shape(curve.values)
        if len(curve) < LONG or not found.low > 0 or not _still_falls(run, curve):
            continue
        high, moved = found.last > TIMES * found.low, found.last > found.low + max(2 * found.noise, 0.01 * found.low)
        for accuracy in accuracies(run, Split.VALIDATION):
            if accuracy.role.group != curve.role.group or len(accuracy) < LONG:
                continue
            values = share(accuracy)
            best, end = float(values.max()), float(np.median(values[-3:]))
            after = values[int(values.argmax()) :]
            falls = len(after) > LEAST and trend(after) < -SURE
            if moved and best - end > max(LOST, SHARE * best) and (falls or high):
                levels = (Fact("accuracy_best", best), Fact("accuracy_last", end))
                said = _finding(run, "falls_with_its_accuracy", curve, _scale(run, curve), 0.5)
                return replace(said, evidence=(*said.evidence, *levels), phrase=_BOTH)
    return None


def _scale(run: Run, curve: Curve) -> float:
    """How far the loss fell: from its own first value, or from where training began."""
    found = shape(curve.values)
    return max(found.fall, beginning(run, curve) - found.low)


def _still_falls(run: Run, curve: Curve) -> bool:
    """Whether the training loss went on falling after the validation loss was lowest."""
    train = run.curves.partner(curve)
    if train is None or len(train) < 2:
        return False
    at = curve.epochs[shape(curve.values).low_at]
    before, after = train.values[train.epochs <= at], train.values[train.epochs > at]
    if not len(after):
        return False
    reference = float(np.median(before[-2:])) if len(before) else float(train.values[0])
    return float(np.median(after[-3:])) < reference


def _excused(run: Run, curve: Curve, finding: Finding) -> bool:
    low = shape(curve.values).low
    if run.of(ev.Early) or 0 < finding.number - low < MILD * abs(low):
        return True
    scores = [score for score in run.curves.scores if score.role.split is Split.VALIDATION]
    holds = any(_holds(score) for score in scores)
    scale = finding.fact("fall")
    fall = scale.value if scale is not None and isinstance(scale.value, float) else 0.0
    return holds and finding.number - low < max(CLEAR * fall, abs(low))


def _holds(score: Curve) -> bool:
    """Whether a validation score improved, or was good from the first value on, and still is where it was best."""
    if good_throughout(score):
        return True
    found = shape(lower_is_better(score))
    return improved(score) and found.rise <= max(3 * found.noise, 0.1 * found.fall)


_VALUES = "{metric} {minimum} at its minimum, {last} at last"
_BOTH = _VALUES + ", and the accuracy {accuracy_best} at its best, {accuracy_last} at last"
_LEVEL = _VALUES + ", a median of {measured} at its end"


def _finding(run: Run, code: str, curve: Curve, scale: float, give_back: float) -> Finding:
    found = shape(curve.values)
    _, minimum, last = course(run, curve, "minimum")
    bound = ceiling(found.low + give_back * max(scale, 0.0), "minimum and half of the fall")
    return found_at(
        curve,
        -1,
        code,
        found.last,
        bounds=(bound,) if code == "rises_after_minimum" else (),
        evidence=(minimum, last, Fact("fall", scale), Fact("rise", found.rise)),
        phrase=_VALUES if last.value == found.last else _LEVEL,
    )


_case = made.Cases(Overfits())
_TRAIN = made.lines(20, 2.3, 0.4, 0.1, 0.02)
PASSES = (
    _case("perfect_oracle", {"train_loss": [0.0] * 5, "val_loss": [0.0] * 5}),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    _case("mild_rise", {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.2, 0.6, 0.62, 0.68)}),
    _case(
        "small_validation_set", {"train_loss": _TRAIN, "val_loss": [1.0, *[0.7, 0.8, 0.5, 0.72, 0.55, 0.66] * 3, 0.66]}
    ),
)
FAILS = (
    _case(
        "accuracy_falls_from_its_best_on",
        {"train_loss": made.lines(12, 7.5, 0.35, 0.34), "val_loss": made.lines(12, 2.9, 0.7, 1.2, 1.9)}
        | {"val_accuracy": made.lines(12, 0.44, 0.75, 0.66, 0.54)},
        "falls_with_its_accuracy",
    ),
    _case("climbs", {"train_loss": _TRAIN, "val_loss": made.lines(20, 2.2, 0.9, 1.6, 2.4)}, "rises_after_minimum"),
    _case(
        "best_at_the_first_evaluation",
        {"loss": made.lines(10, 1.4, 0.3, 0.02), "eval_loss": made.lines(10, 1.26, 2.2, 3.35)},
    ),
    _case(
        "one_of_two_sets",
        {
            "train_loss": _TRAIN,
            "eval_news_loss": made.lines(20, 2.2, 0.7, 0.6, 0.6),
            "eval_code_loss": made.lines(20, 2.2, 0.9, 1.6, 2.4),
        },
    ),
)
