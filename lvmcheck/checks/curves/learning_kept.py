"""learning_kept: what was learned is not lost again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, accuracies, beginning, concluded, course, lower_is_better
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity, words
from lvmcheck.run.roles import Split
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import noise, trend

LEAST, RETURNS = 12, 2
"""Values of a curve, and returns to its beginning from which they are no spike."""
LEARNED, BACK, AGAIN = 0.3, 0.25, 0.5
"""Share of its first value that a loss fell by, share of the fall that a return may lack, share it falls again."""
SINGLE, LOST = 20, 0.2
"""Single steps at the beginning of a run, and share of their fall that no later window makes good."""
FORGETS = 3
"""Times that an evaluation falls from what was learned to next to nothing."""
EVEN = 0.35
"""Relative spread of the steps between returns that come by a rule."""
EPOCHS, FLAT, ABOVE, FIRST = 8, 2.0, 0.9, 1.06
"""Epochs, deviates of a trend that is none, what validation is of training in each, and the first epoch of the rest."""
FEW = f"no loss is recorded {LEAST} times"
_MEANT = "fold folds cv task tasks trial trials restart restarts prune pruning pruned rewind stage phase"
MEANT = frozenset(_MEANT.split())
"""Words of runs that begin again on purpose."""


@dataclass(frozen=True, kw_only=True)
class LearningKept(CurveCheck):
    """No loss returns twice, at regular intervals, to its first level after it had fallen by a third.

    Nor does every one of eight epochs look like the first: a training loss without a trend whose first epoch is not
    above the others, beside a validation that is a tenth lower in every epoch and gets no better either. That is a
    model which learns for one epoch, is evaluated, and begins anew.

    Why:
    A model that is built, loaded or initialised inside the loop learns, forgets and learns again. Means over an epoch
    hide it: they look like a plateau.

    Usual causes:
    - The model or its weights are made anew every n steps or in every epoch.
    - An old checkpoint is loaded again, by a callback or a retry.
    - Optimizer and model are copied, and the copy is trained.

    Fix:
    Print one weight before and after the step of the message, and at the end and the beginning of two epochs.

    Healthy runs that must pass:
    A spike that is made good at once; a restart of the learning rate, from which a loss rises by a part; folds, tasks,
    pruning and stages that are named so; rewards and two players; a plateau of a fine-tune.

    Source:
    Two independent galleries: weights drawn anew every 150 steps, a checkpoint loaded every 60, a model built in the
    loop. Severity: fails, since nothing that learns comes back to its beginning by a rule.
    """

    def judge_ended(self, run: Run) -> Outcome:
        if run.curves.rewards or run.curves.adversarial or run.of(ev.Stage) or _meant(run):
            return not_applicable("GANs, policies, folds, tasks and stages may start over")
        curves = [curve for curve in _curves(run) if len(curve) >= LEAST]
        train = run.curves.epoch_losses
        if not curves and (train is None or len(train) < EPOCHS):
            short = train is not None or run.curves.validation
            return not_applicable(FEW) if short else not_recorded(FEW)
        values = sum(map(len, curves)) or len(train or ())
        for curve in curves:
            back = returns(curve)
            if len(back) >= RETURNS and not _at_epochs(curve, back):
                epoch, step = curve.place(back[0])
                facts = (Fact("returns", len(back)), Fact("first_return", float(curve.values[back[0]])))
                return failed(_finding(run, "returns", curve, epoch, step, *facts), evaluated=values)
        for curve in run.curves.evaluations:
            count = _forgets(run, curve)
            if count >= FORGETS:
                return failed(_finding(run, "forgets", curve, None, None, Fact("returns", count)), evaluated=values)
        windows = run.curves.window_losses
        reached = _lost(windows) if windows is not None and not evaluations_fall(run) else None
        if windows is not None and reached is not None:
            return failed(_finding(run, "lost", windows, None, None, Fact("reached", reached)), evaluated=values)
        alike = _epochs_alike(run, train) if train is not None else None
        if alike is not None and train is not None:
            fact = Fact("validation", float(alike.values[-1]))
            return failed(_finding(run, "epochs_alike", train, None, None, fact), evaluated=values)
        kept = curves[0] if curves else train
        if kept is None:
            return not_recorded("no loss is recorded")
        return concluded(_finding(run, "kept", kept, None, None), [kept], evaluated=values)


def _meant(run: Run) -> bool:
    said = {word for name in (*run.curves.roles, *_keys(run.config)) for word in words(name)}
    return bool(MEANT & said)


def _keys(config: Mapping[str, object]) -> Iterator[str]:
    for key, value in config.items():
        if value not in (None, False, 0, 1):
            yield key


def _curves(run: Run) -> Iterator[Curve]:
    """Losses within epochs and whatever is evaluated often."""
    windows = run.curves.window_losses
    if windows is not None:
        yield windows
    for curve in run.curves.of(Quantity.LOSS, Quantity.ERROR, Quantity.TERM):
        if float(curve.values.min()) >= 0:
            yield curve


def returns(curve: Curve) -> list[int]:
    """Points at which a curve is back at its first level after it had fallen; empty where they come by no rule."""
    values = curve.values
    start, bottom = float(np.median(values[:2])), float(np.quantile(values, 0.1))
    if not start > 0 or float(values.max()) > 3 * start or start - bottom < LEARNED * start:
        return []
    back = 3 if curve.role.name == "train_loss" else 2  # windows of single steps are noisy
    middle, found = start - AGAIN * (start - bottom), [0]
    for index in np.flatnonzero(values > start - BACK * (start - bottom)).tolist():
        before = values[max(0, index - back) : index]
        if len(before) == back and float(before.max()) < middle:
            found.append(index)
    ends = [*found[1:], len(values)]
    slow = _above(values[: ends[0]], middle)
    parts = [values[at:end] for at, end in zip(found, ends, strict=True)]
    again = [at for at, part in zip(found, parts, strict=True) if _learned_again(part, middle, slow)]
    enough = RETURNS if slow > 1 else 2 * RETURNS  # a spike is one point, too
    return again[1:] if again[:1] == [0] and len(again) > enough and _even(curve, again) else []


def _forgets(run: Run, curve: Curve) -> int:
    """How often an evaluation falls from what was learned to next to nothing, and comes back."""
    values = lower_is_better(curve)
    if len(values) < LEAST or curve.role.quantity not in (Quantity.LOSS, Quantity.ACCURACY):
        return 0
    low, high = float(np.quantile(values, 0.1)), float(np.quantile(values, 0.95))
    if curve.role.quantity is Quantity.ACCURACY:
        start, size = high, 0.4 * (100 if curve.role.unit == "%" else 1)
    else:
        start, size = max(float(values[0]), beginning(run, curve), high), LEARNED * abs(float(values[0]))
    if start - low < size or high < start - BACK * (start - low):
        return 0
    bad, good = values > start - 0.3 * (start - low), values < start - 0.65 * (start - low)
    falls = np.flatnonzero(bad[1:-1] & good[:-2] & (values[2:] < values[1:-1])) + 1
    return len(falls) if len(falls) and falls[-1] >= len(values) // 2 else 0


def _at_epochs(curve: Curve, found: Sequence[int]) -> bool:
    """Whether all returns of windows are where an epoch begins, which is epoch_pattern's to say."""
    return curve.by_step and bool((curve.epochs[list(found)] > curve.epochs[np.array(found) - 1]).all())


def _lost(windows: Curve) -> float | None:
    """What single steps at the beginning had reached, where the rest of a run stays far above it."""
    widths = np.diff(windows.steps, prepend=0)
    single = int((widths <= 1).argmin()) if (widths > 1).any() else 0
    early, later = windows.values[:single], windows.values[single:]
    if single < SINGLE or len(later) < LEAST or not early[0] > 0:
        return None
    start, reached = float(np.median(early[:2])), float(np.median(early[-5:]))
    spread = 3 * noise(early) if single >= SINGLE else 0.0
    fell = start - reached > max(LEARNED * start, spread)
    back = float(later.min()) > reached + LOST * (start - reached) + spread / 3
    return reached if fell and back and trend(later) > -FLAT and float(later.max()) < 1.2 * start else None


def evaluations_fall(run: Run) -> bool:
    """Whether some validation loss gets better all the same."""
    return any(len(curve) >= 4 and trend(curve.values) < -2 for curve in run.curves.validation)


def _above(part: np.ndarray, middle: float) -> int:
    """Points at the beginning of a part before it gets below a level."""
    below = np.flatnonzero(part < middle)
    return int(below[0]) if len(below) else len(part)


def _learned_again(part: np.ndarray, middle: float, slow: int) -> bool:
    """Whether a part gets below a level, and needs about as long for it as the first one did."""
    return float(part.min()) < middle and _above(part, middle) >= (slow + 1) // 2


def _even(curve: Curve, found: Sequence[int]) -> bool:
    gaps = np.diff(curve.steps[found] if curve.steps.any() else np.array(found)).astype(np.float64)
    return bool(gaps.std() <= EVEN * gaps.mean()) and float(gaps[0]) > 0


def _epochs_alike(run: Run, train: Curve) -> Curve | None:
    """The validation loss of a run whose epochs are all like the first."""
    rest = train.values[1:]
    if len(train) < EPOCHS or trend(train.values) < -FLAT or not float(rest.min()) > 0:
        return None
    if float(train.values[0]) > FIRST * float(np.median(rest)):
        return None
    for curve in run.curves.validation:
        alike = curve.role.quantity is Quantity.LOSS and len(curve) == len(train)
        if not alike or float((curve.values / train.values).max()) > ABOVE or trend(curve.values) < -FLAT:
            continue
        if all(trend(lower_is_better(score)) > -FLAT for score in accuracies(run, Split.VALIDATION)):
            return curve
    return None


def _finding(run: Run, code: str, curve: Curve, epoch: int | None, step: int | None, *more: Fact) -> Finding:
    return Finding(
        code=code,
        metric=curve.name,
        measured=float(curve.values[-1]),
        epoch=epoch,
        step=step,
        evidence=(*course(run, curve), *more),
        phrase=_PHRASES[code],
    )


_PHRASES = {
    "returns": "{metric} goes back to its beginning {returns} times, to {first_return} at first, and falls again",
    "epochs_alike": "{metric} is in every epoch what it was in the first, and validation is lower at each end",
    "forgets": "{metric} falls from what was learned to next to nothing {returns} times, and comes back",
    "lost": "the first steps brought {metric} from {first} to {reached}, and no later window gets near it",
    "kept": "",
}
_case = made.Cases(LearningKept())
_SAW = [2.3, 2.1, 1.7, 1.3, 1.0, 0.8, 0.7, 0.65, 0.6, 0.55]
_EVERY = [2.04, 1.99, 1.93, 1.92, 1.87, 2.0, 1.96, 1.99, 2.01, 1.97]
_STILL = [*[0.66, 0.65, 0.67] * 3, 0.6]
PASSES = (
    _case("perfect_oracle", {"train_loss": [0.0] * 12, "val_loss": [0.0] * 12}),
    _case("falls", made.window_run(made.lines(60, 2.3, 0.4, 0.3))),
    _case("spikes", made.window_run([*_SAW, 2.3, 0.55, *[0.5] * 6, 2.2, 0.5, *[0.5] * 20])),
    _case("warm_restarts", made.window_run([*_SAW, *[v * 0.6 for v in _SAW], *[v * 0.5 for v in _SAW]])),
    _case("fine_tune", {"train_loss": _EVERY, "val_loss": [1.02 * v for v in _EVERY]}),
    _case("augmented", {"loss": made.lines(12, 2.2, 1.7), "val_loss": made.lines(12, 1.6, 1.0)}),
)
FAILS = (
    _case("checkpoint", {"loss": [1.5] * 17, "val_acc": [0.9, 0.95, 0.94, 0.17] * 4 + [0.9]}, "forgets"),
    _case("drawn_anew", made.window_run(_SAW * 4, per_epoch=40), "returns", returns=3),
    _case(
        "built_in_the_loop",
        {"train_loss": _EVERY, "val_loss": [0.7 * v for v in _EVERY], "val_acc": _STILL},
        "epochs_alike",
    ),
)
