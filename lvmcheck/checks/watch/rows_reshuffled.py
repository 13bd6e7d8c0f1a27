"""rows_reshuffled: rows are shuffled where their order shows in the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._order import COURSE, epochs_of, repeats, same_steps
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, passed, pending
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import complete
from lvmcheck.checks.watch._watched import Cases, Watched, watched
from lvmcheck.run.curves import Curve
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

MOST, FEW = 0.9, 4


@dataclass(frozen=True, kw_only=True)
class RowsReshuffled(Watched):
    """A loader that takes its rows one after the other (no shuffle, no sampler of its own) holds no rows that are
    sorted by label or target, and its loss does not take the same course in every epoch. Needs train= of watch.

    Why:
    Sorted rows teach one class after another, and every epoch ends with the same ones; the last batches have the last
    word.

    Usual causes:
    - shuffle=True is missing.
    - The shuffle was taken out to find a fault, and never put back.

    Fix:
    shuffle=True.

    Healthy runs that must pass:
    Recurrent models, which may read in order; a sampler of one's own, such as a curriculum; streams; one batch for
    the whole data; rows in a mixed order that leave no trace in the loss (epoch_order_changes warns of them).

    Source:
    This project's list of checks: shuffle.
    """

    event = "data_order"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("steps", 0.0) < FEW:
            return None
        return Finding(
            code="sorted",
            measured=of.get("sorted"),
            bounds=(ceiling(MOST),),
            evidence=(Fact("steps_per_epoch", of.get("steps")),),
            phrase="rows are read in stored order, which is sorted by target: {measured} of 1",
        )

    def decide(self, run: Run) -> Outcome:
        found = [finding for event in watched(run, self.event) if (finding := self.found(event)) is not None]
        bad = next((finding for finding in found if not finding.met), None)
        if bad is not None:
            return failed(bad, evaluated=len(found))
        if not complete(run):
            return pending("the end of the run", evaluated=len(found))
        if not found:
            return not_recorded("rec.watch saw no loader that takes rows in their stored order")
        windows = run.curves.window_losses
        course = None if windows is None else _course(windows)
        if course is None:
            return passed(found[-1], evaluated=len(found))
        finding = Finding(
            code="same_course",
            measured=course,
            bounds=(ceiling(0.0),),
            evidence=found[-1].evidence,
            phrase="rows are not shuffled, and the loss curve repeats in every epoch (correlation {measured})",
        )
        return failed(finding, evaluated=len(found))


def _course(windows: Curve) -> float | None:
    """The correlation of what the loss does in an epoch with what it does in the next, where it is no chance."""
    single, parts = same_steps(windows), epochs_of(windows)
    if single is not None:
        return float(single.value) if isinstance(single.value, float) else None
    alike = repeats(parts) if len(parts) > FEW else None
    return alike if alike is not None and alike > COURSE else None


_CHECK = RowsReshuffled()
_case = Cases(_CHECK)
_MIXED = {"sorted": 0.05, "steps": 20.0}
_BOWL = [(0.4 + 0.01 * ((i - 10) % 20 - 9) ** 2) * (1 + 0.05 * ((i * 5) % 7)) for i in range(80)]


def _with_losses(values: Sequence[float]) -> Run:
    return made.window_run(values, per_epoch=20, steps=1).extended(
        [Watch(name="data_order", epoch=1, step=1, values=_MIXED)]
    )


PASSES = (
    _case("perfect_oracle", [{**_MIXED, "sorted": 0.0}]),
    made.case("no_trace_in_the_loss", _CHECK, _with_losses([1.0 / (1 + 0.1 * i) for i in range(80)])),
)
FAILS = (
    _case("by_class", [{**_MIXED, "sorted": 1.0}], "sorted", 1.0, over=False),
    made.case("same_course", _CHECK, _with_losses(_BOWL), "same_course"),
    _case("not_a_number", [{**_MIXED, "sorted": math.nan}]),
)
