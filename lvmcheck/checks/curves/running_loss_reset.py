"""running_loss_reset: the training loss of an epoch is that of its own steps, not the sum over all epochs so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, aligned, concluded
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.curves import Curve
from lvmcheck.run.events import Epoch
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run, run_from

LEAST, LONG = 3, 5
"""Epochs that must add up, and epochs in which a training loss that climbs alone is no chance."""
EXACT, NEAR = 0.02, 0.8
"""Relative spread of the ratios of an epoch's loss to the sum of the means of all epochs up to it, and the ratio."""
ALIKE, LOOSE, FELL = 0.8, 0.35, 0.1
"""Correlation, and spread of the ratio, of what an epoch adds with the validation loss, and share that it fell by."""


@dataclass(frozen=True, kw_only=True)
class RunningLossReset(CurveCheck):
    """A training loss that is recorded by epoch is not the sum of the mean losses of all epochs so far.

    Compared with the means of the steps, at one ratio near 1 within 2 % in three or more epochs: that fails. Without
    steps it warns where the training loss climbs in every one of five or more epochs while the validation loss falls by
    a tenth, and what each epoch adds goes with the validation loss.

    Why:
    A running loss that is not set to 0 at the beginning of each epoch climbs while the model learns. Whoever looks at
    it sees a run that diverges, and a scheduler or early stopping that reads it acts on it.

    Usual causes:
    - `running_loss = 0.0` stands before the loop over epochs in place of inside of it.
    - A metric object is not reset between epochs.

    Fix:
    Set the running loss, and the number of what it is divided by, to 0 at the beginning of each epoch.

    Healthy runs that must pass:
    Losses that are evaluated after an epoch; sums over the batches of an epoch; a loss that climbs with its noise.

    Source:
    This project's list of faults in training loops. Severity: fails where it adds up, else warns.
    """

    def judge_ended(self, run: Run) -> Outcome:
        named = next((curve for curve in run.curves.of(Quantity.LOSS, split=Split.TRAIN) if not curve.by_step), None)
        if named is None:
            return not_recorded("no training loss is recorded by epoch")
        if len(named) < LEAST:
            return not_applicable(f"fewer than {LEAST} epochs")
        means = run.curves.epoch_means
        if means is not None:
            total, own = aligned(named, means)
            if len(total) >= LEAST and len(total) == len(named):
                summed = own.min() > 0 and _sums(total, own)
                finding = _finding(
                    "summed" if summed else "of_its_epoch", named, float(total[-1] / own[-1]) if own[-1] else 1.0
                )
                return failed(finding, evaluated=len(total)) if summed else concluded(finding, [named], evaluated=1)
        for val in run.curves.validation:
            if val.role.quantity is Quantity.LOSS and _climbs_with(named, val):
                return warning(_finding("climbs", named, float(named.values[-1] / named.values[0])), evaluated=1)
        return concluded(_finding("of_its_epoch", named, 1.0), [named], evaluated=len(named))


def _sums(total: np.ndarray, own: np.ndarray) -> bool:
    """Whether these are the sums of all means so far, up to a factor near 1, as where a last batch is smaller."""
    ratios = total / np.cumsum(own)
    even = float(np.ptp(ratios)) < EXACT * float(np.median(ratios))
    return even and NEAR < float(np.median(ratios)) < 1 / NEAR and float(total[-1]) > 1.5 * float(own[-1])


def _climbs_with(train: Curve, val: Curve) -> bool:
    """Whether a training loss climbs by about what validation loses in each epoch."""
    total, other = aligned(train, val)
    if len(total) < LONG or other.min() <= 0:
        return False
    added = np.diff(total)
    if added.min() <= 0 or other[-1] > (1 - FELL) * other[0] or np.ptp(other[1:]) == 0 or np.ptp(added) == 0:
        return False
    ratios = added / other[1:]
    return float(np.corrcoef(added, other[1:])[0, 1]) > ALIKE and float(np.ptp(ratios) / np.median(ratios)) < LOOSE


def _finding(code: str, curve: Curve, measured: float) -> Finding:
    phrases = {
        "summed": "{metric} of an epoch is the sum of the mean losses of all epochs so far, {measured} that of its "
        "own steps",
        "climbs": "{metric} climbs in every epoch, to {measured} its first value, by about what validation loses",
        "of_its_epoch": "{metric} is that of its own epoch",
    }
    return Finding(
        code=code,
        metric=curve.name,
        measured=measured,
        unit="x",
        epoch=curve.place(len(curve) - 1)[0],
        evidence=(Fact("epochs", len(curve)),),
        phrase=phrases[code],
    )


def running_run(train: Sequence[float], means: Sequence[float]) -> Run:
    """Ten steps an epoch with these means, and a training loss by epoch."""
    windows = made.window_run([m for m in means for _ in range(10)], steps=1, per_epoch=10).windows
    ends = [Epoch(epoch=i, step=10 * i, metrics={"train_loss": v}) for i, v in enumerate(train, 1)]
    return run_from({}).extended([*windows, *ends])


_case = made.Cases(RunningLossReset())
_MEANS = [1.8, 1.0, 0.8, 0.7, 0.6, 0.6]
_SUMS = [sum(_MEANS[: i + 1]) for i in range(6)]
_VAL = [0.9, 0.5, 0.4, 0.35, 0.3, 0.3]
PASSES = (
    _case("perfect_oracle", running_run(_MEANS, _MEANS)),
    _case("evaluated_afterwards", running_run([0.9 * m for m in _MEANS], _MEANS)),
    _case("diverges", running_run([1.8, 2.1, 2.9, 4.0], [1.8, 2.1, 2.9, 4.0])),
    _case("climbs_alone", {"train_loss": _SUMS, "val_loss": [0.9, 0.95, 1.1, 1.2, 1.3, 1.4]}),
)
FAILS = (
    _case("never_reset", running_run(_SUMS, _MEANS), "summed"),
    _case("without_steps", {"train_loss": _SUMS, "val_loss": _VAL}, "climbs", status=Status.WARNING),
)
