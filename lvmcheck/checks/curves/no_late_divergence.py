"""no_late_divergence: the loss does not rise for good inside an epoch, between epochs or when a stage begins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, passed
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete, windows_not_at_end
from lvmcheck.checks.shared.levels import Course, Leg, legs
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from

SIGMAS = 3.0
SAME = 1.1
"""An epoch that ends at most this factor above the end of the epoch before has come back: its order of data rises."""
TINY = 1e-3
"""Share of the run's first level below which losses may wander."""


@dataclass(frozen=True, kw_only=True)
class NoLateDivergence(Check):
    """The loss rises neither inside an epoch nor from epoch to epoch by a factor of `factor`, nor for good at a stage.

    Judged on means of windows of steps, never on a running mean since the epoch began. An epoch's levels are medians
    of its quarters. Inside an epoch: its last level is not above `factor` times its lowest (unless the epoch before
    ended as high: the order of the data). Between epochs of a stage: no two epochs in a row, and not the last one, end
    above `factor` times the best end before. At a stage: a jump beyond `factor` loses at least `recover` of itself
    until the stage ends. A rise counts from 3 standard errors on.

    Why:
    A model that is destroyed late has used up the budget of one that works, and its best checkpoint is old. The
    opposite error costs as much: the original project stopped believing in a run whose running mean rose inside epoch
    7, while the true means of its epochs fell from 0.1590 to 0.1153, and blamed the curriculum.

    Usual causes:
    - A schedule that jumps: a warm restart, a stage that sets its own rate, a term switched on at full weight.
    - A learning rate too high for the new data of a stage, or an optimizer state from other gradients.
    - State that drifts: a memory or running statistic that is carried from batch to batch.
    - Data in an order that gets harder, and no shuffling.

    Fix:
    Compare learning rate, weights of the terms and data at the step in the message with those before. Halve the rate at
    the stage and warm up again.

    Healthy runs that must pass:
    A jump at a stage with harder data that comes down again; a plateau and then a drop; every epoch rising in the same
    way because the data are sorted; batches of four; a cosine restart inside an epoch. On simulated curves whose
    windows have 10 % of noise none of 600 was flagged in vain, and at most 2 % of stages that never recover were missed
    (0 % from 40 windows an epoch on); with 20 % of noise 0 to 0.7 % in vain.

    Source:
    history 15 and C 58 of the original project; their wish for "alert on a rise inside an epoch".
    """

    metric_fields = ()

    factor: float = 1.5
    recover: float = 0.25

    def __post_init__(self) -> None:
        check_number("factor", self.factor, 1.0)
        check_number("recover", self.recover, 0.0, 1.0)

    def judge(self, run: Run) -> Outcome:
        over = complete(run)
        stages = legs(run, over)
        floor = next((TINY * abs(course.levels[0]) for leg in stages for course in leg.courses), 0.0)
        looked = 0
        for place, leg in enumerate(stages):
            before = stages[place - 1].courses[-1:] if place else []
            for finding in (*self._inside(leg, floor), *self._between(leg, floor), *self._boundary(leg, before, floor)):
                looked += 1
                if not finding.met:
                    return failed(finding, evaluated=looked)
        if not over:
            return awaiting(run, "the remaining epochs", evaluated=looked)
        cut = windows_not_at_end(run)
        if cut is not None:
            return cut
        last = [leg.courses[-1].epoch for leg in stages if leg.courses]
        if not last:
            return not_recorded("neither windows of steps nor train_loss are recorded: there is no loss to look at")
        if max(last) < run.last_epoch:
            return not_recorded(f"no train loss is recorded after epoch {max(last)}, of {run.last_epoch} epochs")
        if not looked:
            return not_applicable("one epoch without enough windows of steps: there is nothing to compare")
        evidence = (Fact("comparisons", looked),)
        done = Finding(code="kept", measured=0, evidence=evidence, phrase="no late rise in {comparisons} comparisons")
        return passed(done, evaluated=looked)

    def _inside(self, leg: Leg, floor: float) -> Iterator[Finding]:
        """The end of each epoch against its own lowest level."""
        for i, course in enumerate(leg.courses):
            if len(course.levels) == 1 and math.isfinite(course.last):
                continue
            low = min(course.levels)
            usual = SAME * leg.courses[i - 1].last if i else -math.inf
            bound = max(self._bound(low, floor), low + SIGMAS * math.sqrt(2) * course.noise, usual)
            levels = tuple(Fact(f"level_{i}", level) for i, level in enumerate(course.levels, 1))
            before = (Fact("end_of_epoch_before", leg.courses[i - 1].last),) if i else ()
            said = (*levels, Fact("standard_error", course.noise), *before)
            yield _finding("end_of_epoch", course, bound, said)

    def _between(self, leg: Leg, floor: float) -> Iterator[Finding]:
        """The ends of two epochs in a row, or of the last one, against the best end before."""
        for i in range(1, len(leg.courses)):
            settled = i + 1 < len(leg.courses) or leg.over
            if not settled:
                continue
            best = min(leg.courses[:i], key=lambda course: course.last)
            pair = leg.courses[i : i + 2]
            lower = min(pair, key=lambda course: course.last)
            noise = SIGMAS * math.sqrt(2) * max(best.noise, lower.noise)
            bound = max(self._bound(best.last, floor), best.last + noise)
            said = (Fact("stage", leg.name), Fact("best_end", best.last, epoch=best.epoch))
            yield _finding("between_epochs", lower, bound, said)

    def _boundary(self, leg: Leg, before: Sequence[Course], floor: float) -> Iterator[Finding]:
        """A jump when a stage begins, at the stage's end."""
        if not before or not leg.over or not leg.courses:
            return
        first, last, level = leg.courses[0], leg.courses[-1], before[-1].last
        if len(leg.courses) == 1 and len(first.levels) == 1:
            return  # one number cannot come down again
        bound = self._bound(level, floor)
        if first.peak > level:
            bound = max(bound, first.peak - self.recover * (first.peak - level))
        said = (Fact("stage", leg.name), Fact("before", level), Fact("peak", first.peak))
        yield _finding("end_of_stage", last, bound, said)

    def _bound(self, low: float, floor: float) -> float:
        return low + (self.factor - 1) * max(abs(low), floor)


def _finding(code: str, course: Course, bound: float, evidence: tuple[Fact, ...]) -> Finding:
    return Finding(
        code=code,
        metric="train_loss",
        measured=course.last,
        bounds=(ceiling(bound, "its course so far"),),
        epoch=course.epoch,
        step=course.step,
        evidence=evidence,
    )


def _run(*losses: Sequence[float], stages: Sequence[int] = (), over: bool = True) -> Run:
    """Windows of 50 steps by epoch; ``stages`` are the 1-based epochs at which one begins."""
    said: list[ev.Event] = [ev.Begin()]
    step = 0
    for epoch, values in enumerate(losses, 1):
        if epoch in stages:
            index = stages.index(epoch)
            name = f"stage {index + 1}"
            said.append(ev.Stage(index=index, name=name, epoch=epoch, step=step, fingerprint=str(index)))
        for value in values:
            window = ev.Window(
                epoch=epoch, first_step=step + 1, last_step=step + 50, loss_mean=value, loss_min=value, loss_max=value
            )
            said.append(window)
            step += 50
        said.append(ev.Epoch(epoch=epoch, step=step, metrics={"val_loss": 1.0}))
    return Run(events=tuple(said), done={"status": "finished"} if over else None)


_case = made.Cases(NoLateDivergence())
_LINE = made.lines
_FOUR = [1.0 * (0.5, 1.0, 1.5)[i % 3] for i in range(24)]
_HARDER = _LINE(16, 2.2, 1.2, 1.0)
PASSES = (
    _case("perfect_oracle", _run([0.0] * 16, [0.0] * 16)),
    _case("cognate_epoch_means", {"train_loss": made.COGNATE_TRAIN_LOSS}),
    _case("cognate_window_means_of_epochs_5_to_7", _run(
        _LINE(24, 0.163, 0.155, 0.150, 0.154),
        _LINE(24, 0.130, 0.140, 0.160, 0.166),
        # from running means 0.1273@50 0.1177@1000 0.1207@2400 0.1367@3500 0.1452@4600 0.1464@5000
        [0.127] + [0.117] * 4 + [0.123] * 7 + [0.172] * 11 + [0.160] * 2,
    )),
    _case("harder_data_that_come_down_again", _run(_LINE(16, 3.0, 0.6), _HARDER, stages=(1, 2))),
    _case("plateau_then_drop", _run([2.0] * 16, [2.0] * 16, _LINE(16, 2.0, 0.3))),
    _case("sorted_by_length", _run(_LINE(16, 5.0, 2.0), *[_LINE(16, 0.5, 1.3)] * 3)),
    _case("batches_of_four", _run(_FOUR, _FOUR, _FOUR)),
    _case("near_zero", _run(_LINE(16, 1.0, 1e-4), [1e-7, 5e-7, 9e-7] * 6)),
    _case("one_bad_epoch", _run([1.0] * 16, _LINE(16, 1.0, 0.5), [0.9] * 16, [0.45] * 16)),
)  # fmt: skip
FAILS = (
    _case(
        "rises_inside_an_epoch",
        _run(_LINE(16, 3.0, 0.5), _LINE(16, 0.5, 0.4, 1.4), over=False),
        "end_of_epoch",
        1.2,
        end_of_epoch_before=0.75,
    ),
    _case(
        "stage_that_never_recovers",
        _run(_LINE(16, 3.0, 0.6), [2.2] * 16, [2.1] * 16, stages=(1, 2)),
        "end_of_stage",
        2.1,
        before=0.84,
        peak=2.2,
    ),
    _case("ends_high", _run([1.0] * 16, [0.4] * 16, [0.7] * 16), "between_epochs", best_end=0.4),
    _case("two_epochs", run_from({"train_loss": [1.0, 0.3, 0.7, 0.8]}, over=False), epoch=3),
    _case("nan", _run([1.0] * 16, [1.0] * 15 + [math.nan]), measured=math.nan),
)
