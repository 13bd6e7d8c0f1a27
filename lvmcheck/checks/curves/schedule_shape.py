"""schedule_shape: the learning rate goes the way that was declared, and does not swing by accident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._cases import cosine, rates
from lvmcheck.checks.curves._curves import CurveCheck, concluded, found_at, number, planned_steps
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import LEVELS
from lvmcheck.run.curves import Curve
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import shape, trend

LEAST = 6
"""Recorded rates from which a schedule has a shape."""
SHORT, MANY, LONG = 40, 5, 200
"""Steps of a period, and periods, that no schedule is meant to have; steps in which a warm-up has got somewhere."""
ALTERNATE = 2
"""Steps of a period in which no schedule swings: two rates are recorded in turn."""
SWINGS = 4
"""Turns from low to high from which a schedule is periodic."""
KEYS = ("scheduler", "lr_scheduler", "lr_scheduler_type", "schedule", "lr_schedule")
DECAYS = ("cosine", "linear", "poly", "polynomial", "exponential", "onecycle", "one_cycle", "cosineannealinglr")
ANEW, BACK = 3, 0.2
"""Boundaries of epochs at which a rate that rises within each falls back by this share."""
TORN = 1.1
"""Times its lowest level that a training loss ends at which a rising rate has torn up."""
WARM_UPS = ("warmup_steps", "warmup_iters", "num_warmup_steps", "lr_warmup_steps")
ACCUMULATED = ("accumulation", "gradient_accumulation_steps", "accumulate_grad_batches", "grad_accum", "accumulate")
PERIODIC = ("cyclic", "restart", "restarts", "triangular", "warm_restarts")


EXPONENTIAL = 0.995
"""Correlation of the logarithm of the rate with the step in a search for a learning rate."""


@dataclass(frozen=True, kw_only=True)
class ScheduleShape(CurveCheck):
    """A declared decay decays, a learning rate does not swing within epochs, and does not rise to the end.

    Declared is what the config calls scheduler, lr_scheduler or the like. A constant rate beside a declared cosine,
    linear, polynomial or exponential decay fails; so does a rate that swings with a period of twice as many steps as
    there are epochs (a cosine over epochs that is stepped once a batch), or five times from next to 0 up again within
    40 steps where no schedule is declared. A rate that only rises and ends below a tenth of the declared one after 200
    steps fails. A declared warm-up (warmup_steps or the like) of at most half of the steps after which the rate still
    rises to its end fails where it ends below half of the declared rate, and warns where none is declared. A rate that
    rises in every epoch and falls back at each boundary fails: optimizer and scheduler are made anew. Other swings
    within epochs, and a rate that rises over more than half of the run and ends at its highest, warn; the latter fails
    where a whole run ends below a fifth of the declared rate, or the training loss rises with the rate.

    Why:
    A scheduler that is stepped in the wrong place is the commonest silent fault of a schedule: the loss falls, only
    not as far.

    Usual causes:
    - scheduler.step() is missing, or called once an epoch with a length in steps.
    - CosineAnnealingLR(T_max=epochs) is stepped once a batch, so that the rate goes up and down.
    - A warm-up longer than the run, or counted in steps and stepped once an epoch; a decay factor above 1.

    Fix:
    Plot the recorded rate. Give the schedule its length in the unit in which it is stepped.

    Healthy runs that must pass:
    A constant rate that nobody declared otherwise; a search for a learning rate; declared cycles; restarts of
    several epochs; a one-cycle schedule.

    Source:
    This project's list of checks: scheduler. Severity: fails where it contradicts the config or its period gives it
    away, else warns.
    """

    exempt = LEVELS

    def judge_ended(self, run: Run) -> Outcome:
        rate = run.curves.rate
        if rate is None:
            return not_recorded("no learning rate is recorded")
        if len(rate) < LEAST or not rate.values.any():
            return not_applicable(f"fewer than {LEAST} learning rates above 0 are recorded")
        declared = _declared(run)
        for finding, sure in (
            _constant(run, rate, declared),
            (_anew(rate, declared), True),
            (_never_warm(run, rate), True),
            _swings(run, rate, declared),
            _warms_up(run, rate),
            _rises(run, rate, declared),
        ):
            if finding is not None:
                return (failed if sure else warning)(finding, evaluated=len(rate))
        return concluded(_finding("shape", rate), [rate], evaluated=len(rate))


def _declared(run: Run) -> str:
    """The name of the declared schedule in small letters; empty where there is none."""
    for key in KEYS:
        value = run.config.get(key)
        if isinstance(value, Mapping):
            value = value.get("name") or value.get("type") or value.get("kind")
        if isinstance(value, str):
            return value.lower()
    return ""


def _constant(run: Run, rate: Curve, declared: str) -> tuple[Finding | None, bool]:
    if declared not in DECAYS or float(np.ptp(rate.values)) > 1e-9 * float(np.abs(rate.values).max()):
        return None, False
    covered = run.stated_epochs is None or run.last_epoch * 2 >= run.stated_epochs
    return (_finding("never_decayed", rate, Fact("declared", declared)), True) if covered else (None, False)


def _anew(rate: Curve, declared: str) -> Finding | None:
    """A rate that rises within every epoch and falls back at each boundary: scheduler and optimizer are made anew."""
    if not rate.by_step or any(word in declared for word in (*PERIODIC, "cycle")):
        return None
    starts = np.flatnonzero(np.diff(rate.epochs) > 0) + 1
    steps = np.diff(rate.values)
    back = steps[starts - 1] < -BACK * rate.values[starts - 1]
    if len(starts) < ANEW or not back.all() or (np.delete(steps, starts - 1) < 0).any():
        return None
    return _finding("begins_anew", rate, Fact("boundaries", len(starts)))


def _swings(run: Run, rate: Curve, declared: str) -> tuple[Finding | None, bool]:
    """A rate that goes up and down, more often than epochs pass."""
    if not rate.by_step or any(word in declared for word in PERIODIC):
        return None, False
    changes = np.flatnonzero(np.diff(rate.values, prepend=np.nan) != 0)  # stairs go down, and not up again
    values, steps = rate.values[changes], rate.steps[changes]
    turns = np.flatnonzero(
        (values[1:-1] < values[:-2]) & (values[1:-1] < values[2:]) & (values[1:-1] < values.max() / 2)
    )
    if len(turns) < SWINGS:
        return None, False
    period = float(np.median(np.diff(steps[turns + 1])))
    if period <= ALTERNATE:
        return None, False  # two optimizers are recorded in turn
    epochs = run.config.get("epochs")
    accident = isinstance(epochs, int) and abs(period / (2 * epochs) - 1) < 0.05
    accident = accident or (not declared and period < SHORT and len(turns) >= MANY and _to_nothing(values))
    if not accident and len(turns) < run.last_epoch:
        return None, False
    return _finding("swings", rate, Fact("period", period, "steps"), Fact("swings", len(turns))), accident


def _to_nothing(values: np.ndarray) -> bool:
    """Whether a rate swings between nothing and its highest value."""
    return float(values.min()) <= 0.01 * float(values.max())


def _never_warm(run: Run, rate: Curve) -> Finding | None:
    """A rate that only rises, from a hundredth of the declared one to less than a tenth of it."""
    target, values = number(run, "lr", "learning_rate", "max_lr", "peak_lr"), rate.values
    if target is None or run.step < LONG or not bool((np.diff(values) >= 0).all()):
        return None
    low = 0 < float(values[0]) < 0.02 * target and float(values[-1]) < 0.1 * target
    return _finding("rises_to_the_end", rate, Fact("declared_rate", target)) if low else None


def _warms_up(run: Run, rate: Curve) -> tuple[Finding | None, bool]:
    """A rate that still rises at the end of the run, long after its declared warm-up."""
    last, warm_up = int(rate.steps[-1]), _warm_up(run)
    if not rate.by_step or warm_up is None or warm_up * 2 > last or last < 0.9 * (planned_steps(run) or 0):
        return None, False
    values, after = rate.values, rate.values[rate.steps >= 1.5 * warm_up]
    rises = values[-1] == values.max() and bool((np.diff(values) >= 0).all())
    if len(after) < 2 or not rises or float(after[0]) > 0.7 * float(values[-1]):
        return None, False
    target = number(run, "lr", "learning_rate", "max_lr", "peak_lr")
    if target is not None and float(values[-1]) > 0.5 * target:
        return None, False
    more = (Fact("warm_up", warm_up, "steps"), *([] if target is None else [Fact("declared_rate", target)]))
    return _finding("warm_up_never_ends", rate, *more), target is not None


def _warm_up(run: Run) -> int | None:
    """The declared steps of the warm-up, in recorded steps."""
    for key in WARM_UPS:
        steps = run.config.get(key)
        if isinstance(steps, int) and not isinstance(steps, bool) and steps > 1:
            batches = [run.config.get(name) for name in ACCUMULATED]
            return steps * max((n for n in batches if isinstance(n, int) and not isinstance(n, bool)), default=1)
    return None


def _rises(run: Run, rate: Curve, declared: str) -> tuple[Finding | None, bool]:
    values = rate.values
    steps = np.diff(values)
    highest = values[-1] == values.max() and float((steps > 0).mean()) >= 0.5
    rising = highest and values[-1] > 3 * max(float(values[len(values) // 2]), 0.0)
    if not highest or "cycle" in declared or _range_test(rate):
        return None, False
    target, stated = number(run, "lr", "learning_rate", "max_lr", "peak_lr"), run.stated_epochs
    whole = (stated is not None and run.last_epoch >= stated) or rate.steps[-1] >= 0.9 * (planned_steps(run) or np.inf)
    sure = target is not None and whole and float(values[-1]) < 0.2 * target
    sure = sure or (rising and _torn(run))
    found = _finding("rises_to_the_end", rate, *([Fact("declared_rate", target)] if sure and target else []))
    return (found, sure) if sure or rising else (None, False)


def _range_test(rate: Curve) -> bool:
    """Whether the rate grows exponentially with the steps, a thousandfold: the search for a learning rate."""
    values = rate.values
    if not float(values[0]) > 0 or float(values[-1]) < 1000 * float(values[0]) or not bool((np.diff(values) > 0).all()):
        return False
    places = rate.steps if np.ptp(rate.steps) > 0 else np.arange(len(values))
    return float(np.corrcoef(places, np.log(values))[0, 1]) > EXPONENTIAL


def _torn(run: Run) -> bool:
    """Whether the training loss got worse as the rate rose."""
    train = run.curves.train
    if train is None or len(train) < 2 * LEAST or run.curves.rewards or run.curves.adversarial:
        return False
    found = shape(train.values)
    late = train.values[found.low_at :]
    return found.low > 0 and found.last > TORN * found.low + 4 * found.error and len(late) > 3 and trend(late) > 2


def _finding(code: str, rate: Curve, *more: Fact) -> Finding:
    phrases = {
        "never_decayed": "the learning rate is {measured} from first to last, declared is {declared}",
        "swings": "the learning rate swings {swings} times, with a period of {period}",
        "rises_to_the_end": "the learning rate rises to the end, from {first} to {measured}",
        "warm_up_never_ends": "the learning rate still rises at the end, at {measured}; the warm-up is {warm_up}",
        "begins_anew": "the learning rate rises in every epoch and falls back at {boundaries} boundaries",
        "shape": "the learning rate goes from {first} to {measured}",
    }
    return found_at(
        rate,
        -1,
        code,
        evidence=(Fact("first", float(rate.values[0])), Fact("highest", float(rate.values.max())), *more),
        phrase=phrases[code],
    )


_case = made.Cases(ScheduleShape())
PASSES = (
    _case("perfect_oracle", rates(cosine(40, 80), scheduler="cosine")),
    _case("constant_undeclared", rates([1e-3] * 20)),
    _case("step_decay_beyond_the_run", rates([1e-3] * 20, scheduler="step")),
    _case("stairs", rates([1e-3 * 0.3 ** (i // 20) for i in range(240)])),
    _case("declared_cycles", rates(cosine(100, 8), lr_scheduler="cyclic")),
    _case(
        "warm_up_of_batches", rates(made.lines(80, 5e-5, 4e-3), lr=4e-3, warmup_steps=10, max_steps=80, accumulation=8)
    ),
    _case("search_for_a_rate", rates([1e-6 * 1.1**i for i in range(130)])),
    _case("warm_up", rates([*made.lines(5, 0.0, 1e-3), *[1e-3] * 30])),
)
FAILS = (
    _case("made_anew_in_every_epoch", rates(made.lines(20, 1e-4, 8e-4) * 5, per_epoch=20, epochs=5), "begins_anew"),
    _case(
        "warm_up_in_epochs",
        rates(made.lines(80, 5e-5, 9e-4), lr=4e-3, warmup_steps=12, steps=80),
        "warm_up_never_ends",
        warm_up=12,
    ),
    _case("for_ever", rates(made.lines(80, 0, 8e-6), lr=5e-4, epochs=8), "rises_to_the_end"),
    _case("never_stepped", rates([1e-3] * 20, scheduler={"name": "cosine"}), "never_decayed"),
    _case("stepped_once_a_batch", rates(cosine(100, 20), epochs=10), "swings", period=20.0),
)
