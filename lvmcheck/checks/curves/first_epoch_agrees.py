"""first_epoch_agrees: validation agrees with training on the rows of the first epoch, none of which was seen before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._curves import CurveCheck, concluded
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.events import Epoch
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.curve import noise

STEPS, EVALUATIONS, TAIL = 20, 3, 0.75
"""Steps of the first epoch, evaluations, and where the part of the first epoch begins that is compared."""
FIRST, LEAST, UNIT = 2.0, 1.8, 10.0
"""Times the training loss of that part: validation after it, validation at its best, and what has another unit."""
SURE = 2.0
"""Times the same from which validation at its best fails."""
ROUGH = 0.005
"""Noise of the steps over their level: without any all rows are in each batch, and were seen many times."""
TOGETHER = 0.5
"""Share of the later fall of training, in logarithms, that validation falls by where it is only another measure."""


@dataclass(frozen=True, kw_only=True)
class FirstEpochAgrees(CurveCheck):
    """The validation loss is not twice the training loss of the last quarter of the first epoch, neither after that
    epoch nor at its best.

    In a first epoch without repeats each batch is new to the model, so that its loss says how well the model does on
    rows that it has not seen, as validation does. Whether rows were repeated is not measured. Fails where validation at
    its best is twice that and does not fall with training, else warns. Asked of runs that record the loss of at least
    20 steps of the first epoch.

    Why:
    A gap that is there before a single row was repeated is no overfitting: validation asks for something else.

    Usual causes:
    - Validation rows are prepared otherwise: columns in another order, a scaler that was fitted anew, no normalisation.
    - An average of the weights is evaluated that is still next to its beginning.
    - Training sees the same rows again and again in one epoch: a seed that is set in each step, rows copied.

    Fix:
    Evaluate the last 50 training batches in the validation loop after the first epoch: as bad there is the loop, else
    the rows differ.

    Healthy runs that must pass:
    Overfitting, which begins with the second epoch; batch norm that settles in the first epochs; dropout, mixed labels
    and augmentation, with which training is the harder task; full-batch training.

    Source:
    Progressive validation (Blum, Kalai and Langford 1999): each batch is scored before it is learned.
    """

    def judge_ended(self, run: Run) -> Outcome:
        windows = run.curves.window_losses
        if windows is None or not run.of(Epoch) or run.counts_evaluations:
            return not_recorded("no loss by step with evaluations by epoch is recorded")
        if run.curves.adversarial or run.curves.rewards:
            return not_applicable("losses of players or of a policy are not compared")
        losses = [c for c in run.curves.validation if c.role.quantity is Quantity.LOSS and not c.role.group]
        findings = [found for loss in losses if (found := _compared(windows, loss)) is not None]
        if not findings:
            return not_applicable(f"no validation loss after a first epoch of {STEPS} recorded steps")
        for finding, sure in findings:
            if not finding.met:
                return (failed if sure else warning)(finding, evaluated=len(findings))
        return concluded(findings[0][0], losses, evaluated=len(findings))


def _compared(windows: Curve, loss: Curve) -> tuple[Finding, bool] | None:
    """The lower of both ratios of a validation loss, and whether it fails; None where nothing can be compared."""
    end = int(loss.steps[0]) if len(loss) else 0
    if len(loss) < EVALUATIONS or loss.epochs[0] != 1 or end < STEPS or float(np.ptp(loss.values)) == 0:
        return None  # of a number that stands still see metric_constant
    first = windows.steps <= end
    tail = windows.values[first & (windows.steps > TAIL * end)]
    half = windows.values[first & (windows.steps > end / 2)]
    if not len(tail) or len(half) < 2 or not min(float(windows.values.min()), float(loss.values.min())) > 0:
        return None
    level = float(np.mean(tail))
    if noise(half) < ROUGH * level:
        return None
    after, best = float(loss.values[0]) / level, float(loss.values.min()) / level
    if best > UNIT:
        return None  # see validation_in_scale
    apart = after > FIRST and best > LEAST
    finding = Finding(
        code="apart" if apart else "agrees",
        metric=loss.name,
        measured=best if apart else min(after, best),
        unit="x",
        bounds=(ceiling(LEAST if apart else FIRST),),
        epoch=int(loss.epochs[int(loss.values.argmin())]),
        evidence=(
            Fact("after_first_epoch", after, "x"),
            Fact("first_epoch_loss", level),
            Fact("best", float(loss.values.min())),
        ),
        phrase="{metric} is at best {measured} the training loss at the end of the first epoch",
    )
    return finding, best > SURE and not _together(windows, loss, level)


def _together(windows: Curve, loss: Curve, level: float) -> bool:
    """Whether validation falls with training: the same answers in another measure."""
    trained = float(np.median(windows.values[-3:]))
    fall = float(np.log(level / trained)) if trained > 0 else 0.0
    return fall > 0 and float(np.log(loss.values[0] / loss.values.min())) > TOGETHER * fall


_case = made.Cases(FirstEpochAgrees())
_STEPS = [1.2 - 0.02 * i + 0.03 * ((i * 7) % 5 - 2) for i in range(40)]


def first_epoch_run(val: Sequence[float], later: Sequence[float] = (0.3, 0.2), steps: Sequence[float] = _STEPS) -> Run:
    """Forty steps of a first epoch that end at 0.5, and later epochs of as many steps."""
    rest = [value for i in range(len(val) - 1) for value in [later[min(i, len(later) - 1)]] * len(steps)]
    windows = made.window_run([*steps, *rest], steps=1, per_epoch=len(steps)).windows
    ends = [Epoch(epoch=i, step=i * len(steps), metrics={"val_loss": v}) for i, v in enumerate(val, 1)]
    return run_from({}).extended([*windows, *ends])


PASSES = (
    _case("perfect_oracle", first_epoch_run([0.5, 0.3, 0.2])),
    _case("overfits_later", first_epoch_run([0.6, 0.8, 1.9, 2.6], (0.1, 0.02))),
    _case("norms_that_settle", first_epoch_run([4.0, 0.7, 0.4])),
)
FAILS = (
    _case("columns_in_another_order", first_epoch_run([1.7, 1.4, 1.45]), "apart"),
    _case("another_measure", first_epoch_run([2.4, 1.5, 1.01]), "apart", status=Status.WARNING),
)
