"""batches_differ: training does not repeat one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding, Status
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class BatchesDiffer(Watched):
    """Ten measured batches in a row are not all the same rows.

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

    Source:
    Issue 15.
    """

    universal = True
    event = "batch"
    streak = 10
    mild = True

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("distinct", 0) < 2:
            return None
        return Finding(
            code="same_batch",
            measured=of.get("same_as_last"),
            bounds=(equal(0),),
            step=event.step,
            evidence=(Fact("rows", of.get("rows")),),
            phrase="measured batches that equal the one before: {measured}",
        )


_CHECK = BatchesDiffer()
_BATCH = {"same_as_last": 0.0, "rows": 32.0, "distinct": 32.0}
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, case_run("batch", [_BATCH] * 10)),
    made.case("met_again", _CHECK, case_run("batch", [_BATCH, {**_BATCH, "same_as_last": 1}] * 10)),
)
FAILS: Sequence[Case] = (
    made.case(
        "first_batch_for_ever",
        _CHECK,
        case_run("batch", [{**_BATCH, "same_as_last": 1}] * 10),
        "same_batch",
        1,
        status=Status.WARNING,
    ),
    made.case(
        "not_a_number",
        _CHECK,
        case_run("batch", [{**_BATCH, "same_as_last": float("nan")}] * 10),
        status=Status.WARNING,
    ),
)
