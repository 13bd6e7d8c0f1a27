"""epoch_pattern: the training loss does not begin anew in every epoch, nor follow the order of the data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, concluded
from lvmcheck.checks.curves._order import COURSE, LEAST_EPOCHS, epochs_of, falls_and_leaps, repeats, same_steps
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import words
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import noise

MOST = 0.75
"""Share of the boundaries that must show it."""
BACK = 0.75
"""Share of the way back to the beginning that an epoch's first window must go."""
FOLDS = frozenset({"fold", "folds", "kfold", "cv"})
"""Words in names of metrics and keys of a config that tell of a cross-validation."""
LEARNED = 0.1
"""Share of its first level that the loss must have fallen by within an epoch."""


@dataclass(frozen=True, kw_only=True)
class EpochPattern(CurveCheck):
    """The loss does not jump back to its first level when an epoch starts, nor repeat its curve in every epoch.

    Three boundaries and three quarters of all at which the loss goes back by three quarters of what it had fallen fail.
    A course within the epochs that repeats (correlation above 0.7 after the trend is removed) warns: the data come in
    the same order every time. So do single steps of an epoch that are those of the next (rank correlation of 0.8), and
    a loss that falls step by step to less than a third of its beginning and leaps above it in one step, to fall again.

    Why:
    A model or optimizer that is made inside the epoch loop learns for one epoch, again and again. Data that are not
    shuffled teach one class after another.

    Usual causes:
    - The model, its weights or the optimizer are made anew in each epoch, or an old checkpoint is loaded.
    - The loader does not shuffle; the data are sorted by label, length or source.
    - The sampler is seeded anew in each epoch (set_epoch is not called).

    Fix:
    Print one weight at the end of an epoch and at the beginning of the next. Look at the labels of the first batches.

    Healthy runs that must pass:
    A loss that steps down at each boundary (samples are seen again); cosine restarts; a curriculum; folds of a
    cross-validation.

    Source:
    This project's list of checks: shuffle. Severity: a new beginning in every epoch fails; a repeated course warns,
    it may be meant.
    """

    def judge_ended(self, run: Run) -> Outcome:
        windows = run.curves.window_losses
        if windows is None:
            return not_recorded("no training loss is recorded within epochs")
        if run.curves.adversarial or run.curves.rewards:
            return not_applicable("GAN and policy losses do not follow the order of the data")
        parts = epochs_of(windows)
        seen = None if run.of(ev.Stage) else falls_and_leaps(windows) or same_steps(windows)
        if len(parts) <= LEAST_EPOCHS:
            few = f"fewer than {LEAST_EPOCHS + 1} epochs with more than one value"
            return not_applicable(few) if seen is None else warning(_ordered(windows, seen), evaluated=len(windows))
        resets = _resets(windows)
        boundaries = len(parts) - 1
        finding = _finding("begins_anew", windows, Fact("resets", resets), Fact("boundaries", boundaries))
        if resets >= LEAST_EPOCHS and resets >= MOST * boundaries and not _folds(run):
            return failed(finding, evaluated=boundaries)
        alike = repeats(parts)
        if alike is not None and alike > COURSE:
            return warning(_finding("same_course", windows, Fact("correlation", alike)), evaluated=boundaries)
        if seen is not None:
            return warning(_ordered(windows, seen), evaluated=boundaries)
        kept = _finding("goes_on", windows, Fact("resets", resets), Fact("boundaries", boundaries))
        return concluded(kept, [windows], evaluated=boundaries)


def _folds(run: Run) -> bool:
    """Whether names tell of a cross-validation, of which every fold begins anew."""
    return bool(FOLDS & {word for name in (*run.curves.roles, *map(str, run.config)) for word in words(name)})


def _resets(windows: Curve) -> int:
    """Boundaries at which the loss goes back to its beginning, which is a mean over as many steps as is compared."""
    cuts, widths = np.flatnonzero(np.diff(windows.epochs)) + 1, np.maximum(np.diff(windows.steps, prepend=0), 1)
    parts = list(zip(np.split(windows.values, cuts), np.split(widths, cuts), strict=True))
    first = parts[0]
    start = float(np.median(windows.values[:3]))
    wild = 4 * noise(windows.values[-max(6, len(windows) // 3) :])
    found = 0
    for (before, _), (after, width) in pairwise(part for part in parts if len(part[0]) > 1):
        back = min(start, _mean_of_first(*first, float(width[0])))
        fallen = back - float(before[-1])
        deep = fallen > max(LEARNED * abs(start), 0.0) and float(after[0] - before[-1]) > min(wild, 0.5 * fallen)
        found += deep and float(after[0]) > back - (1 - BACK) * fallen
    return int(found)


def _mean_of_first(values: np.ndarray, widths: np.ndarray, steps: float) -> float:
    """The mean of as many steps."""
    count = int(np.searchsorted(np.cumsum(widths), steps)) + 1
    return float(np.average(values[:count], weights=widths[:count]))


def _ordered(windows: Curve, seen: Fact) -> Finding:
    return _finding("same_course" if seen.name == "correlation" else "falls_and_leaps", windows, seen)


def _finding(code: str, windows: Curve, *evidence: Fact) -> Finding:
    epoch, step = windows.place(len(windows) - 1)
    phrases = {
        "begins_anew": "{metric} goes back to its beginning at {resets} of {boundaries} epoch boundaries",
        "same_course": "{metric} takes the same course in every epoch (correlation {correlation})",
        "falls_and_leaps": "{metric} leaps to {leap_to} in one step and falls again: batches are alike, then others",
        "goes_on": "{metric} goes back to its beginning at {resets} of {boundaries} epoch boundaries",
    }
    return Finding(
        code=code,
        metric=windows.name,
        measured=float(windows.values[-1]),
        epoch=epoch,
        step=step,
        evidence=evidence,
        phrase=phrases[code],
    )


_case = made.Cases(EpochPattern())
_SAWS = [v + 0.01 * e for e in range(6) for v in (2.0, 1.9, 1.5, 1.2, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5)]
_STAIRS = [1.2 - 0.1 * (i // 10) + 0.03 * ((i * i) % 7) for i in range(60)]
_CLASSES = [level * 0.88 ** (i % 28) for level in (1.25, 4.4, 3.0) for i in range(28)]
_RANDOM = [1.0 + 0.3 * ((i * i * 7 + i) % 23 - 11) / 11 - 0.004 * i for i in range(80)]
_BOWL = [(0.4 + 0.01 * ((i - 10) % 20 - 9) ** 2) * (1 + 0.05 * ((i * 5) % 7)) for i in range(80)]


def _wide() -> Run:
    """Epochs of 40 steps that begin anew, the first recorded step by step, the others in halves."""
    first = [1.8 - 1.3 * i / 39 for i in range(40)]
    said = [(1, i + 1, i + 1, loss) for i, loss in enumerate(first)]
    said += [(e, 40 * e - 39 + 20 * h, 40 * e - 20 + 20 * h, (1.4, 0.7)[h]) for e in (2, 3, 4) for h in (0, 1)]
    windows = [
        ev.Window(epoch=e, first_step=a, last_step=b, loss_mean=loss, loss_min=loss, loss_max=loss)
        for e, a, b, loss in said
    ]
    return Run(events=tuple(windows), done={"status": "finished"})


PASSES = (
    _case("perfect_oracle", made.window_run([0.0] * 60)),
    _case("folds", made.window_run(_SAWS, config={"folds": 6})),
    _case("falls", made.window_run([v + 0.05 * ((i * 7) % 11) for i, v in enumerate(made.lines(60, 2, 0.5))])),
    _case("single_steps_at_random", made.window_run(_RANDOM, per_epoch=20, steps=1)),
    _case("smooth_single_steps", made.window_run([2.0 / (1 + 0.1 * i) for i in range(80)], per_epoch=20, steps=1)),
    _case("spike_that_recovers", made.window_run([*_CLASSES[:28], 4.0, 1.5, 0.4, *[0.1] * 49], per_epoch=20, steps=1)),
    _case("steps_down_at_each_epoch", made.window_run([v + 0.04 * ((i * i) % 7) for i, v in enumerate(_STAIRS)])),
)
FAILS = (
    _case("sorted_by_target", made.window_run(_BOWL, per_epoch=20, steps=1), "same_course", status=Status.WARNING),
    _case(
        "sorted_by_class", made.window_run(_CLASSES, per_epoch=84, steps=1), "falls_and_leaps", status=Status.WARNING
    ),
    _case("made_anew_in_each_epoch", made.window_run(_SAWS), "begins_anew", resets=5, boundaries=5),
    _case("wide_windows_that_go_part_of_the_way_back", _wide(), "begins_anew", resets=3),
    _case("four_epochs", made.window_run(_SAWS[:40]), resets=3),
)
