"""targets_not_in_inputs: no column of the inputs is the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Series
from lvmcheck.run.events import Watch

LEAST = 1e-6
"""1 - r^2 of a target and the column next to it, below which they are one but for rounding."""


@dataclass(frozen=True, kw_only=True)
class TargetsNotInInputs(Series):
    """In none of three measured batches in a row is the target, or an indicator of every class, the same column of a
    table or window of inputs, times a number and plus another (1 - r^2 below 1e-6). Losses of one term, 3 to 512
    numbers a row, and batches of at least 24 rows.

    Why:
    A model that is given the answer is perfect in validation, too, and useless where the answer is not known yet.

    Usual causes:
    - The column of the target was left in the table, or was added again by a join.
    - The window of a forecast includes the step that is forecast.

    Fix:
    Drop the column; build inputs from what is known before the target is.

    Healthy runs that must pass:
    Features that explain a target almost entirely; the last value of a smooth series; autoencoders; a loss of several
    terms, of which one asks for an input.

    Source:
    This project's list of checks: label_leak. An independent gallery: the target left among the inputs of a
    cross-validated table.
    """

    event = "target_copied"
    needs = 3

    def look_at(self, events: Sequence[Watch]) -> Finding | None:
        if len(events) < self.needs:
            return None
        apart = [event.values.get("apart", math.nan) for event in events]
        columns = {event.values.get("column") for event in events}
        lost = any(map(math.isnan, apart))
        worst = math.nan if lost else max(apart)
        same = lost or (worst < LEAST and len(columns) == 1)
        return Finding(
            code="copied" if same else "apart",
            measured=worst if same else max(worst, LEAST),
            bounds=(floor(LEAST),),
            step=events[-1].step,
            evidence=tuple(Fact("column", int(column)) for column in columns if same and column is not None),
            phrase="column {column} of the inputs is the target" if same else "no column of the inputs is the target",
        )


_case = Cases(TargetsNotInInputs())
_FREE = {"apart": 0.3, "column": 4.0}
_COPY = {"apart": 2e-8, "column": 7.0}
PASSES = (
    _case("perfect_oracle", [{"apart": 1.0, "column": 0.0}] * 3),
    _case("nearly", [{"apart": 4e-5, "column": 7.0}] * 4),
    _case("another_column_each_time", [_COPY, {**_COPY, "column": 2.0}] * 3),
    _case("once", [_COPY, _FREE, _FREE, _COPY]),
)
FAILS = (
    _case("left_in_the_table", [_COPY] * 3, "copied", over=False, column=7),
    _case("not_a_number", [{**_COPY, "apart": math.nan}] * 3, "copied"),
)
