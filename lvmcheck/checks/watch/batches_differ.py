"""batches_differ: training does not repeat one batch."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal, floor
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed
from lvmcheck.checks.watch._watched import Cases, Watched, by_watcher, watched
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

HALF, LEAST = 0.5, 16
"""Share of the rows of a batch that must differ, and rows of a batch that is asked for it."""


@dataclass(frozen=True, kw_only=True)
class BatchesDiffer(Watched):
    """Ten measured batches in a row are not all the same rows; it fails where another model of the loop gets others,
    and where less than half of the rows of each batch differ, which hold too much to be equal by chance.

    Why:
    A loader that yields the same batch again and again trains on a handful of rows; the train loss looks excellent.

    Usual causes:
    - next(iter(loader)) inside the loop.
    - A sampler with replacement and one seed, reset in every step.
    - The variable of the loop is not the one that is used.

    Fix:
    Iterate over the loader; draw the iterator once, outside the loop.

    Healthy runs that must pass:
    Overfitting one batch on purpose; gradient descent on all rows at once.
    """

    event = "batch"
    streak = 10
    mild = True

    def decide(self, run: Run) -> Outcome:
        outcome = super().decide(run)
        models = by_watcher(watched(run, self.event))
        others = any(
            sum(event.values.get("same_as_last") == 0 for event in events) > len(events) / 2 for events in models
        )
        found = outcome.status is Status.WARNING and outcome.finding
        if found and found.code == "few_rows":
            return failed(found, evaluated=outcome.evaluated)
        return failed(found, evaluated=outcome.evaluated) if found and others and len(models) > 1 else outcome

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("distinct", 0) < 2:
            return None
        distinct = of.get("distinct", 0.0) / max(1.0, of.get("rows", 0.0))
        if of.get("telling") and distinct < HALF and of.get("rows", 0.0) >= LEAST:
            return Finding(
                code="few_rows",
                measured=distinct,
                bounds=(floor(HALF),),
                evidence=(Fact("rows", of.get("rows")),),
                phrase="share of the {rows} rows of a batch that differ from each other {measured}",
            )
        return Finding(
            code="same_batch",
            measured=of.get("same_as_last"),
            bounds=(equal(0),),
            evidence=(Fact("rows", of.get("rows")),),
            phrase="measured batches that equal the one before: {measured}",
        )


_case = Cases(BatchesDiffer())
_BATCH = {"same_as_last": 0.0, "rows": 32.0, "distinct": 32.0}
_FEW = {**_BATCH, "distinct": 10.0, "telling": 1.0}
PASSES = (
    _case("perfect_oracle", [_BATCH] * 10),
    _case("tables_of_few_values", [{**_FEW, "telling": 0.0}] * 12),
    _case("met_again", [_BATCH, {**_BATCH, "same_as_last": 1}] * 10),
)
FAILS = (
    _case("sampler_of_ten_rows", [_FEW] * 12, "few_rows", 10 / 32),
    _case("first_batch_for_ever", [{**_BATCH, "same_as_last": 1}] * 10, "same_batch", 1, status=Status.WARNING),
    _case(
        "noise_drawn_once_beside_batches_that_differ",
        [{**_BATCH, "same_as_last": 1}, {**_BATCH, "watcher": 1.0}] * 10,
        "same_batch",
        1,
        status=Status.FAILED,
    ),
    _case("not_a_number", [{**_BATCH, "same_as_last": float("nan")}] * 10, status=Status.WARNING),
)
