"""train_rows_differ: training rows do not occur several times."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

ROWS, MOST = 32, 0.1


@dataclass(frozen=True, kw_only=True)
class TrainRowsDiffer(Watched):
    """At most a tenth of the training rows are copies of others, with their targets, in the class where they are
    fewest. Rows of few different values, which are equal by chance, and whole numbers are not compared. Of a
    loader that holds tensors or arrays, named or found.

    Why:
    Copies weigh more than other rows, are learned by heart, and land on both sides of a later split.

    Usual causes:
    - A file was read twice; a join multiplied rows.
    - The set was repeated to make epochs longer.

    Fix:
    Remove the copies; train for more epochs instead.

    Healthy runs that must pass:
    Rows that were measured several times; a rare class that was repeated against an imbalance; binary features; a
    sampler with replacement.
    """

    event = "data_repeats"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("rows", 0.0) < ROWS:
            return None
        return Finding(
            code="repeated",
            measured=of.get("least"),
            bounds=(ceiling(MOST),),
            evidence=(Fact("rows", of.get("rows")), Fact("repeated", of.get("repeated"))),
            phrase="share of the training rows, of every class, that are copies of others {measured}",
        )


_case = Cases(TrainRowsDiffer())
_ONCE = {"rows": 640.0, "repeated": 0.0, "least": 0.0}
PASSES = (
    _case("perfect_oracle", [_ONCE]),
    _case("rare_class_repeated", [{**_ONCE, "repeated": 0.4}], measured=0.0),
)
FAILS = (
    _case("four_times", [{**_ONCE, "repeated": 0.75, "least": 0.74}], "repeated", 0.74),
    _case("not_a_number", [{**_ONCE, "least": math.nan}]),
)
