"""schedule_jump: something in the schedule changed at once, and the model collapsed within an epoch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from

METRIC = "val_cosine"
FALL = 0.1
"""Cosine lost in one epoch; the healthy recorded runs never lose more than 0.01."""
BACK = 0.5
"""Share of the fall that is regained at the end, above which the run recovered by itself."""
FACTOR = 1.5
"""A learning rate or weight that changes by more than this at the fall is evidence."""


class ScheduleJump(Cause):
    """Validation rose, fell by a tenth within one epoch and stayed down: a weight, rate or stage was switched."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        series = evidence.run.series(METRIC)
        values, epochs = series.values.tolist(), series.epochs.tolist()
        fall = _fall(values)
        if fall is None:
            return None
        before, after = values[fall - 1], values[fall]
        changes = tuple(_changed(evidence.run, epochs[fall - 1], epochs[fall]))
        return Diagnosis(
            name=self.name(),
            standing=Standing.LIKELY,
            phrase="something changed at once between two epochs: val cosine fell from {before} to {after}",
            evidence=(
                Fact("before", before, epoch=epochs[fall - 1]),
                Fact("after", after, epoch=epochs[fall]),
                *changes,
            ),
            explains=frozenset({"loss_diverging", "not_diverging", "val_loss_descends"}),
            tell_apart=""
            if changes
            else "neither rate, weights nor stage is recorded there: compare the schedule by hand",
            ruled_out=evidence.ruled_out({"finite": "numerical problems", "generalisation_gap": "memorisation"}),
            fix="continue from the checkpoint before it and reach the new value over several epochs; change one thing "
            "at a time",
            next="lvmcheck explain loss_diverging",
        )


def _fall(values: Sequence[float]) -> int | None:
    """Index of the largest fall after a rise that is not regained, or None."""
    if len(values) < 3 or not all(map(math.isfinite, values)):
        return None
    falls = [earlier - later for earlier, later in itertools.pairwise(values)]
    index = max(range(len(falls)), key=falls.__getitem__) + 1
    drop = values[index - 1] - values[index]
    rose = index >= 2 and values[index - 1] > values[0]
    return index if rose and drop > FALL and values[-1] < values[index] + BACK * drop else None


def _changed(run: Run, before: int, after: int) -> Iterator[Fact]:
    """What the run says was changed between two epochs."""
    rate = run.series("lr")
    old, new = rate.at(before), rate.at(after)
    if old and new and not 1 / FACTOR <= new / old <= FACTOR:
        yield Fact("learning_rate_before", old)
        yield Fact("learning_rate_after", new)
    for stage in run.of(ev.Stage):
        if before < stage.epoch <= after:
            yield Fact("stage_began", stage.name, epoch=stage.epoch)
    sides = [next((w for w in run.windows if w.epoch == epoch and w.terms), None) for epoch in (before, after)]
    if sides[0] is None or sides[1] is None:
        return
    for name in sorted(sides[0].terms.keys() | sides[1].terms.keys()):
        was, now = (side.terms[name].weight if side and name in side.terms else 0.0 for side in sides)
        if was != now and not (was and 1 / FACTOR <= now / was <= FACTOR):
            yield Fact(f"weight_of_{name}_before", was)
            yield Fact(f"weight_of_{name}_after", now)


def _with_rate(cosines: Sequence[float], rates: Sequence[float]) -> Run:
    return run_from({METRIC: cosines, "lr": rates})


PASSES = (
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    case("attempt_1", made.val_run(made.AMN_790K_1_VAL)),
    case("recovered", made.val_run((0.40, 0.52, 0.30, 0.50, 0.55))),
    case("noise_from_the_start", made.val_run((0.50, 0.30, 0.31))),
    case("not_a_number", made.val_run((0.40, 0.52, math.nan))),
)
FAILS = (
    case("v3", made.val_run(made.V3_VAL), before=0.54, after=0.354),
    case("p4", made.val_run(made.P4_VAL), after=0.338),
    case("p6b", made.val_run(made.P6B_VAL), after=-0.0494),
    case("rate_times_ten", _with_rate((0.40, 0.50, 0.20, 0.21), (1e-4, 1e-4, 1e-3, 1e-3)), learning_rate_after=1e-3),
)
