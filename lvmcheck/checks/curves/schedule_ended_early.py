"""schedule_ended_early: the learning rate has not decayed to nothing while much of the run is ahead."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._cases import rates
from lvmcheck.checks.curves._curves import CurveCheck, concluded, found_at, planned_steps
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import AS_RECORDED
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.view import Run

LEAST = 5
"""Recorded rates from which a schedule has a shape."""
NOTHING, LITTLE = 1.01e-6, 1e-3
"""Shares of the highest rate: at most the first is nothing; a final rate at most the second warns."""
AHEAD = 0.1
"""Share of the run that may lie behind the end of the schedule."""
EVALUATIONS, SAME = 8, 1e-5
"""Evaluations from which a loss can be at rest, and the relative difference up to which it is."""
DECIMALS = 5
"""Decimals of figures that were rounded for a log, and rest for that reason."""
LOW, THIRD, STILL = (0.0101, 1.01e-3, 1.01e-4), 0.35, 3e-4
"""Shares of the highest rate that train next to nothing, share of the run spent there, and what evaluations move."""
HALF = 0.5
"""Share of a run at a hundredth of its highest rate that warns."""
RESTS = (0.4, 0.6)
"""Shares of the run before a rest that fails, and before one that warns."""
SOLVED = 0.01
"""Share of its first value at which a training loss is solved."""
MOVED, WIGGLES = 3e-3, 3e-3
"""Shares of their values that the validation loss moved before, and that the training loss moves by meanwhile."""


@dataclass(frozen=True, kw_only=True)
class ScheduleEndedEarly(CurveCheck):
    """The learning rate is not at 0 for the last steps while more than a tenth of the planned steps are ahead.

    A rate of at most a millionth of the highest fails, and one of a hundredth for a third of the run beside evaluations
    that move by less than three ten-thousandths; one that rests at a thousandth or less warns, since a scheduler
    that waits for plateaus may mean it; so does one that is below a hundredth for half of the run. Planned steps are
    those of the config, else those of the run. Where the plan is a whole multiple of the schedule, the factor is named:
    it is the number of processes, accumulated batches or steps an epoch. Without recorded rates the validation loss is
    looked at: one that keeps its value to a hundred thousandth over the last six tenths of eight or more evaluations
    fails, over the last four tenths warns, where it had moved, the training loss is not solved and goes on moving by
    chance, and five decimals do not hold it.

    Why:
    With a scheduler that is stepped by each of 8 processes, seven eighths of a run train nothing and cost the same.

    Usual causes:
    - The scheduler is stepped by every process, or once a micro-batch instead of once an optimizer step.
    - Its length is given in epochs and it is stepped once a batch.
    - Its length was computed from another batch size, data set or number of epochs.

    Fix:
    Give the schedule the number of optimizer steps: epochs * len(loader) // accumulation. Step it after
    optimizer.step(), in one place.

    Healthy runs that must pass:
    A schedule that ends at 0 with the run; a floor of a tenth of the rate; cosine restarts that pass 0; a run that was
    interrupted.

    Source:
    Severity: fails at 0; a small rest warns.
    """

    exempt = AS_RECORDED

    def judge_ended(self, run: Run) -> Outcome:
        rate = run.curves.rate
        if rate is None:
            return _without_rate(run)
        highest = float(np.abs(rate.values).max()) if len(rate) else 0.0
        if len(rate) < LEAST or highest == 0:
            return not_applicable(f"fewer than {LEAST} learning rates above 0 are recorded")
        start, total = _ended(rate, highest), _length(run, rate)
        ended = float(_axis(rate)[start])
        ahead = max(0.0, 1 - ended / total) if start < len(rate) - 1 else 0.0
        finding = _finding(rate, start, ahead, total / ended if ended > 0 else 0.0)
        if ahead <= AHEAD:
            low = _at_low_rate(run, rate, highest, total)
            half = _half(run, rate, highest, total)
            if low or half is None:
                return failed(low, evaluated=len(rate)) if low else concluded(finding, [rate], evaluated=len(rate))
            return warning(half, evaluated=len(rate))
        nothing = float(np.abs(rate.values[start:]).max()) <= NOTHING * highest
        return (failed if nothing else warning)(finding, evaluated=len(rate))


def _half(run: Run, rate: Curve, highest: float, total: float) -> Finding | None:
    """A rate that is a hundredth of its highest or less for half of the run, in which the training loss rests."""
    start = int(np.flatnonzero(np.abs(rate.values) > LOW[0] * highest)[-1]) + 1
    ahead = 1 - float(_axis(rate)[min(start, len(rate) - 1)]) / total
    if ahead < HALF or len(rate) - start < LEAST or run.curves.train is None:
        return None
    later = _from_there(run.curves.train, rate, start)
    if len(later) < LEAST or np.mean(later[: len(later) // 2]) - np.mean(later[len(later) // 2 :]) > 0.01 * later[-1]:
        return None
    phrase = "{measured} of the planned steps have less than a hundredth of the highest rate (final rate {final_rate})"
    return replace(_finding(rate, start, ahead, 0.0), code="low_for_long", phrase=phrase)


def _at_low_rate(run: Run, rate: Curve, highest: float, total: float) -> Finding | None:
    """A rate that is a hundredth of its highest or less for a third of the run, beside evaluations that rest there."""
    for low in LOW:
        high = np.flatnonzero(np.abs(rate.values) > low * highest)
        start = int(high[-1]) + 1 if len(high) else 0
        if start == len(rate):
            return None
        ahead = 1 - float(_axis(rate)[start]) / total
        late = [_from_there(curve, rate, start) for curve in run.curves.evaluations]
        if ahead >= THIRD and any(len(v) >= LEAST and np.ptp(v) <= STILL * abs(v[-1]) for v in late):
            return _finding(rate, start, ahead, total / max(1.0, float(_axis(rate)[start])))
    return None


def _without_rate(run: Run) -> Outcome:
    """What the evaluations say: weights that rest give one loss, while dropout and batches move that of training."""
    train = run.curves.train
    losses = [loss for loss in run.curves.validation if len(loss) >= EVALUATIONS]
    if train is None or not losses or run.of(ev.Stage):
        return not_recorded("no learning rate is recorded, nor losses of training and of validation long enough")
    values = sum(map(len, losses))
    for loss in losses:
        start = _rests_from(loss)
        share, later = start / (len(loss) - 1), _from_there(train, loss, start)
        moved = float(np.ptp(loss.values)) > MOVED * abs(float(loss.values[-1]))
        level = abs(float(np.median(later))) if len(later) >= LEAST else 0.0
        unsolved = level > SOLVED * abs(float(train.values[0]))  # else no gradient is left
        wiggles = unsolved and float(np.ptp(later)) > WIGGLES * level
        if share <= RESTS[-1] and moved and wiggles and len(loss) - start >= LEAST and not _rounded(loss):
            finding = _rest(run, loss, start, "weights_rest")
            sure = share <= RESTS[0] and "plateau" not in str(dict(run.config)).lower()
            return (failed if sure else warning)(finding, evaluated=values)
    return concluded(_rest(run, losses[0], len(losses[0]) - 1, "moves"), [*losses, train], evaluated=values)


def _from_there(train: Curve, loss: Curve, start: int) -> np.ndarray:
    """The training losses since a point of another curve, by steps where both know them."""
    by_step = train.steps[-1] > 0 and loss.steps[-1] > 0
    since = train.steps >= loss.steps[start] if by_step else train.epochs >= loss.epochs[start]
    return np.asarray(train.values[since])


def _rounded(loss: Curve) -> bool:
    return bool((loss.values == np.round(loss.values, DECIMALS)).all())


def _rests_from(loss: Curve) -> int:
    """Index from which a loss keeps one value, to a hundred thousandth."""
    away = np.flatnonzero(np.abs(loss.values - loss.values[-1]) > SAME * abs(loss.values[-1]))
    return int(away[-1]) + 1 if len(away) else 0


def _rest(run: Run, loss: Curve, start: int, code: str) -> Finding:
    planned = max(len(loss), run.stated_epochs or 0)
    return found_at(
        loss,
        start,
        code,
        float(loss.values[-1]),
        evidence=(
            Fact("evaluations_at_rest", len(loss) - start),
            Fact("evaluations", len(loss)),
            *([Fact("planned_over_schedule", planned / (start + 1), "x")] if code == "weights_rest" else []),
        ),
        phrase="{metric} stays at {measured} in the last {evaluations_at_rest} of {evaluations} evaluations"
        if code == "weights_rest"
        else "",
    )


def _axis(rate: Curve) -> np.ndarray:
    return rate.steps if rate.steps[-1] > 0 else rate.epochs


def _length(run: Run, rate: Curve) -> float:
    """Where the run is planned to end, on the axis of the rates."""
    last = float(_axis(rate)[-1])
    if rate.steps[-1] > 0:
        return max(last, float(planned_steps(run) or 0))
    return max(last, float(run.stated_epochs or 0))


def _ended(rate: Curve, highest: float) -> int:
    """Index of the first of the last rates that are next to nothing; the last index where they are not."""
    for level in (NOTHING, LITTLE):
        high = np.flatnonzero(np.abs(rate.values) > level * highest)
        start = int(high[-1]) + 1
        if level == LITTLE and start < len(rate):
            resting = np.abs(rate.values[start:])
            if float(resting.max()) > 1.01 * float(resting.min()):
                return len(rate) - 1  # it still moves
        if start < len(rate) - 1:
            return start
    return len(rate) - 1


def _finding(rate: Curve, start: int, ahead: float, ratio: float) -> Finding:
    factor = round(ratio)
    whole = factor > 1 and abs(ratio / factor - 1) < 0.04
    return found_at(
        rate,
        start,
        "ended_early" if ahead > AHEAD else "in_time",
        100 * ahead,
        unit="%",
        bounds=(ceiling(100 * AHEAD),),
        evidence=(
            Fact("final_rate", float(rate.values[-1])),
            Fact("highest_rate", float(np.abs(rate.values).max())),
            *(
                [Fact("planned_over_schedule", float(factor if whole else ratio), "x")]
                if ahead > AHEAD and ratio
                else []
            ),
        ),
        phrase="{measured} of the planned steps come after the end of the schedule (final rate {final_rate})",
    )


_case = made.Cases(ScheduleEndedEarly())
_DOWN = made.lines(20, 1e-3, 0.0)
_WIGGLES = [0.67, *[0.38 + 0.003 * ((i * 7) % 5) for i in range(29)]]
_RESTS = [value / 3 for value in (1.029, 1.0065, 1.0072, 1.0073, *[1.0074] * 26)]
_LATE = [value / 3 for value in (*made.lines(22, 2.9, 1.3), *[1.3] * 8)]
PASSES = (
    _case("rests_at_the_end", {"train_loss": _WIGGLES, "val_loss": _LATE}),
    _case("rounded", {"train_loss": _WIGGLES, "val_loss": [round(v, 4) for v in _RESTS]}, "moves"),
    _case("solved", {"train_loss": [0.67, *[1e-4 * v for v in _WIGGLES[1:]]], "val_loss": _RESTS}),
    _case("converges_with_training", {"train_loss": [0.5] * 30, "val_loss": _RESTS}),
    _case("perfect_oracle", rates([1e-3] * 20)),
    _case("ends_with_the_run", rates(_DOWN)),
    _case("floor_of_a_tenth", rates([*made.lines(20, 1e-3, 1e-4), *[1e-4] * 30])),
    _case("constant", {"lr": [3e-3] * 12, "val_loss": [0.7, *[0.686] * 11]}),
    _case("low_and_still_learning", {"lr": [3e-3, *[3e-5] * 11], "val_loss": made.lines(12, 0.7, 0.6)}),
    _case("restarts", rates([*_DOWN, *_DOWN, *_DOWN])),
    _case("interrupted", rates(made.lines(40, 1e-3, 5e-4), epochs=8)),
)
FAILS = (
    _case("rests_without_a_rate", {"train_loss": _WIGGLES, "val_loss": _RESTS}, evaluations_at_rest=26),
    _case(
        "stairs_of_batches",
        rates([1e-3 * 0.3 ** (i // 20) for i in range(240)]).extended(made.window_run([4.5] * 240, steps=1).windows),
        "low_for_long",
        status=Status.WARNING,
    ),
    _case("eight_processes", rates([*_DOWN, *[0.0] * 140]), "ended_early", planned_over_schedule=8.0),
    _case(
        "milestones_at_once",
        {"lr": [3e-3, *[3e-5] * 11], "val_loss": [0.6867, 0.68601, *[0.686 - 1e-6 * i for i in range(10)]]},
        "ended_early",
    ),
    _case(
        "divided_by_ten_in_every_epoch",
        {
            "lr": [0.1**i for i in range(3, 13)],
            "val_loss": [0.067, 0.034, 0.031, *[0.03086 - 1e-7 * i for i in range(7)]],
        },
        "ended_early",
    ),
    _case("planned_longer", rates([*_DOWN, *[0.0] * 20], epochs=8), planned_over_schedule=4.0),
)
