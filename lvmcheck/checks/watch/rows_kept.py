"""rows_kept: the stored rows are not changed while they are used."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

MOST, ALIKE = 0.5, 0.98


@dataclass(frozen=True, kw_only=True)
class RowsKept(Watched):
    """The inputs that the loader holds are not, two epochs in a row, other numbers that go with the former ones
    (correlation above 0.98): scaled or moved where they are stored. Of loaders that hold tensors or
    arrays, named or found.

    Why:
    Preparation in place is applied again in every epoch: inputs shrink or drift away from those of validation.

    Usual causes:
    - x.sub_(mean).div_(std), x *= scale or x -= mean on a view of the stored rows.
    - An augmentation that writes into its input.

    Fix:
    Make a copy: x = (x - mean) / std.

    Healthy runs that must pass:
    A replay memory that is filled anew; preparation once, before the first step.
    """

    event = "rows_kept"
    streak = 2

    def look(self, event: Watch) -> Finding:
        of = event.values
        changed, alike = of.get("changed", math.nan), of.get("alike", 0.0)
        return Finding(
            code="rescaled",
            measured=0.0 if changed == changed and alike < ALIKE else changed,
            bounds=(ceiling(MOST),),
            evidence=(Fact("correlation", alike), Fact("rows", of.get("rows"))),
            phrase="share of the stored inputs that changed in place within an epoch {measured}",
        )


_case = Cases(RowsKept())
_KEPT = {"changed": 0.0, "alike": 1.0, "rows": 64.0}
PASSES = (
    _case("perfect_oracle", [_KEPT] * 3),
    _case("memory_filled_anew", [{**_KEPT, "changed": 1.0, "alike": 0.1}] * 3),
    _case("prepared_once", [{**_KEPT, "changed": 1.0}, _KEPT, _KEPT]),
)
FAILS = (
    _case("in_place", [{**_KEPT, "changed": 1.0}] * 2, "rescaled", 1.0, over=False),
    _case("not_a_number", [{**_KEPT, "changed": math.nan}] * 2),
)
