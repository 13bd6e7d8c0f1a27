"""metric_worsens: no score gets steadily worse while the loss gets better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._curves import SURE, CurveCheck, concluded, course, found_at, improved
from lvmcheck.checks.curves._unwanted import UNWANTED
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Direction, Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import trend

LEAST = 8
"""Evaluations from which a score has a course."""
LOST, MUCH, MOST = 0.1, 0.25, 0.4
"""Shares of a score's best and of its first value that are lost at its end: may be meant, is a lot, is nearly half."""
STEADY = 4.5
"""Standard deviations of a flat curve's trend from which nearly every value is worse than the one before."""
CORE = (Quantity.ACCURACY, Quantity.SCORE, Quantity.COSINE, Quantity.R2)
_WORDS = """f1 auc auroc auprc ap map ap50 ap75 map50 iou miou dice bleu rouge rouge1 rouge2 rougel mrr ndcg kappa mcc
psnr ssim spearman pearson em hits"""
KNOWN = frozenset(_WORDS.split())
"""Scores of which every form is better high; a score without such a word may be an energy or a distance."""
TRADED = frozenset({"precision", "recall", "sensitivity", "specificity", "explained", "calibration", "diversity"})
"""Scores of which one is given for another, by the threshold or by design."""


@dataclass(frozen=True, kw_only=True)
class MetricWorsens(CurveCheck):
    """No higher-is-better score falls from the first third of the run to its end while the loss falls.

    Judged is each score of at least 8 evaluations whose trend is downward beyond chance (3 standard deviations), whose
    best value lies in the first third and which still falls in the second half. It fails where the validation loss
    falls throughout and a quarter of the best value is lost, or a tenth by a fall that hardly any value interrupts; of
    an accuracy, which weights of rare classes lower, a quarter warns and four tenths fail. Without a validation loss it
    fails where four tenths are lost while the training loss falls, and warns from a quarter on. Where another score
    gets better nothing is concluded.

    Why:
    The loss is what is optimised, the score is what is wanted. Where they part from the first epochs on, the loss asks
    for something else: without negatives every embedding becomes one vector, and the loss is nearly 0.

    Usual causes:
    - The loss has a trivial solution: no negatives, no term against collapse.
    - The score itself is minimised, or the sign of the loss is wrong.
    - Softmax or sigmoid is applied twice, so that the loss improves only towards its floor.
    - Labels of the loss and of the score are encoded differently.

    Fix:
    Compute loss and score by hand for a perfect, a constant and a random prediction, and see which of them the loss
    prefers.

    Healthy runs that must pass:
    Precision that is given for recall; a task that gets worse while another gets better; rewards and adversarial
    losses; an accuracy that falls while an overfitted model's validation loss rises; a score that is lost late.

    Source:
    Seen in recorded runs: recall@5 from 0.43 to 0.23 while the validation loss fell to a hundredth. Severity: fails
    where losses and score contradict each other, warns where only the training loss is known.
    """

    def judge_ended(self, run: Run) -> Outcome:
        scores = [curve for curve in run.curves.scores if _judged(curve)]
        if not scores:
            return not_recorded("no score that higher is better for is recorded on validation data")
        if run.curves.adversarial or run.curves.rewards or run.of(ev.Stage):
            return not_applicable("GAN, policy and staged losses need not follow a score")
        long = [curve for curve in scores if len(curve) >= LEAST]
        if not long:
            return not_applicable(f"fewer than {LEAST} evaluations")
        values = sum(map(len, long))
        if not any(trend(curve.values) > 2 or improved(curve) for curve in long):
            for curve in long:
                lost, sure = _worsens(run, curve)
                if lost > 0:
                    return (failed if sure else warning)(_finding(run, "worsens", curve, lost), evaluated=values)
        return concluded(_finding(run, "kept", long[0], 0.0), long, evaluated=values)


def _judged(curve: Curve) -> bool:
    role = curve.role
    if role.direction is not Direction.HIGHER or role.quantity not in CORE or role.split is Split.TRAIN:
        return False
    said = words(curve.name)
    if (
        UNWANTED & set(said)
        or any(word.startswith("task") for word in said)
        or (role.quantity is Quantity.COSINE and role.group)
    ):
        return False
    if role.quantity is Quantity.SCORE and not set(said) & KNOWN:
        return False
    return not TRADED & set(said) or ("recall" in said and any(word.isdigit() for word in said))


def _worsens(run: Run, curve: Curve) -> tuple[float, bool]:
    """Share of the score that is lost while a loss falls, 0 where it is not; whether that is surely wrong."""
    values, falling = curve.values, -trend(curve.values)
    if falling < SURE or int(values.argmax()) > len(values) // 3 or trend(values[len(values) // 2 :]) > -1:
        return 0.0, False
    end = float(np.median(values[-max(2, len(values) // 5) :]))
    best, first = float(values.max()), float(np.median(values[:2]))
    lost, of_first = (best - end) / max(abs(best), 1e-9), (first - end) / max(abs(first), 1e-9)
    if best <= 0:
        return 0.0, False
    losses = [loss for loss in run.curves.validation if loss.role.quantity is Quantity.LOSS]
    if losses:
        together = all(len(loss) >= LEAST and trend(loss.values) < -SURE and _still_low(loss) for loss in losses)
        if not together:
            return 0.0, False
        if {"acc", "accuracy"} & set(words(curve.name)):  # weights of rare classes cost some of it
            return (lost, lost >= MOST) if lost >= MUCH else (0.0, False)
        return (lost, True) if lost >= MUCH or (lost >= LOST and falling >= STEADY) else (0.0, False)
    train = run.curves.train
    if train is None or len(train) < LEAST or trend(train.values) > -SURE or of_first < MUCH:
        return 0.0, False
    return lost, of_first >= MOST


def _still_low(loss: Curve) -> bool:
    """Whether a loss is lowest in the last third of the run."""
    return int(loss.values.argmin()) >= 2 * len(loss) // 3


def _finding(run: Run, code: str, curve: Curve, lost: float) -> Finding:
    loss = next(iter(run.curves.validation), None) or run.curves.train
    beside = (
        () if loss is None else (Fact("loss_first", float(loss.values[0])), Fact("loss_last", float(loss.values[-1])))
    )
    return found_at(
        curve,
        -1,
        code,
        evidence=(*course(run, curve), *beside, *([Fact("lost", 100 * lost, "%")] if lost else [])),
        phrase="{metric} falls by {lost} while the loss falls" if lost else "",
    )


_case = made.Cases(MetricWorsens())
_FALL = made.lines(20, 0.05, 0.004, 0.001)
_SCORE = made.lines(20, 0.41, 0.39, 0.23)
_RISES = made.lines(20, 0.1, 0.5, 0.6)
PASSES = (
    _case("perfect_oracle", {"val_loss": [0.0] * 20, "val_acc": [1.0] * 20}),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL, train_cosine=made.AMN_584K_TRAIN)),
    _case("overfits", {"val_loss": made.lines(20, 1.0, 2.0), "val_acc": made.lines(20, 0.8, 0.5)}),
    _case("another_gets_better", {"val_loss": _FALL, "old_acc": _SCORE, "new_acc": _RISES}),
    _case("accuracy_for_rare_classes", {"val_loss": made.lines(20, 0.69, 0.3), "val_acc": made.lines(20, 0.97, 0.85)}),
    _case("precision_for_recall", {"val_loss": _FALL, "precision": _SCORE, "val_acc": _RISES}),
    _case("lost_late", {"val_loss": _FALL, "val_auc": [*made.lines(14, 0.6, 0.9), *made.lines(6, 0.8, 0.6)]}),
)
FAILS = (
    _case("no_negatives", {"val_loss": _FALL, "recall@5": _SCORE}, "worsens"),
    _case("score_is_minimised", {"train_loss": _FALL, "val_dice": made.lines(20, 6e-3, 4e-3, 3e-3)}),
    _case("every_time_worse", {"val_loss": _FALL, "val_map": made.lines(20, 0.074, 0.065)}),
)
