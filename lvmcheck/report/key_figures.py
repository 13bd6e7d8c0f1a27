"""The one or two figures of a run that matter: its evaluated loss and its evaluated score, else those of training."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.checks.wording import figure, spaced
from lvmcheck.run.curves import PRIMARY, Curve
from lvmcheck.run.main_metrics import main_first
from lvmcheck.run.role_names import words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import EPOCH_AT, Run

ONE_SIDE = frozenset({"precision", "recall", "sensitivity", "specificity"})
"""Words of scores that say half of what matters."""


def key_curves(run: Run) -> tuple[Curve, ...]:
    """At most two: one whose low values are good and one whose high values are; of held-out data where there is any."""
    curves = run.curves
    found = {item.name: item for item in curves.of(*PRIMARY)}
    ranked = [found[name] for name in main_first(found)]
    ranked.sort(key=lambda item: not ONE_SIDE.isdisjoint(words(item.name)))
    held_out = [item for item in ranked if item.role.split is Split.VALIDATION]
    others = [item for item in ranked if item.role.split is Split.NONE]
    if curves.window_losses is not None and all(item.role.group for item in others):
        others = []  # scores of parts say less than the loss of the whole
    chosen: dict[object, Curve] = {}
    for item in held_out or others or ([] if curves.window_losses is not None else ranked):
        chosen.setdefault(item.role.direction, item)
    if not chosen and curves.train is not None:
        return (curves.train,)
    return tuple(chosen.values())


def first_to_last(curves: Sequence[Curve]) -> str:
    """``val loss 0.7211 -> 0.1976, val accuracy 0.82 -> 0.9367``."""
    return ", ".join(
        f"{spaced(item.name)} {figure(float(item.values[0]))} -> {figure(float(item.values[-1]))}" for item in curves
    )


def last_figures(run: Run) -> str:
    """``val loss 0.1976, val accuracy 0.9367 at epoch 8``; empty without any."""
    curves = key_curves(run)
    if not curves:
        return ""
    epoch, step = curves[0].place(len(curves[0]) - 1)
    epoch = None if step is not None and (run.counts_evaluations or not run.last_epoch) else epoch
    place = f" at epoch {epoch}" if epoch is not None else f" at step {step:,}{_fraction(run, step)}" if step else ""
    return ", ".join(f"{spaced(item.name)} {figure(float(item.values[-1]))}" for item in curves) + place


def _fraction(run: Run, step: int) -> str:
    """`` (epoch 1.6)``: the epoch that a log of steps states at a step."""
    epoch = run.info.get(EPOCH_AT, {}).get(step)
    return "" if epoch is None else f" (epoch {round(epoch, 2):g})"
