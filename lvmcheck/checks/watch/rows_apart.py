"""rows_apart: the output of a row does not depend on the other rows of its batch."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

MOST = 1e-3


@dataclass(frozen=True, kw_only=True)
class RowsApart(Watched):
    """In eval mode the output of a row changes by less than 0.001 of its magnitude when the other rows of the batch
    get other content. The watcher tries it once, on a few rows of an early batch, and puts everything back.

    Why:
    A model whose rows see each other gives another answer in another batch, and often a loss that is too good.

    Usual causes:
    - batch_first is forgotten: a recurrent layer or attention runs over the rows.
    - A mean, softmax or normalisation over dimension 0.
    - A reshape that joins rows.

    Fix:
    Reduce and normalise over features or positions; set batch_first=True where rows come first.

    Healthy runs that must pass:
    Batch norm (in eval mode); tables of rows by rows, as contrastive losses make; time in dimension 0; models that
    take one batch for the whole data, such as graphs.

    Source:
    This project's list of checks: batch_independence.
    """

    event = "row_mixing"

    def look(self, event: Watch) -> Finding | None:
        if "tried" in event.values:
            return None
        return Finding(
            code="rows_mix",
            measured=event.values.get("change"),
            bounds=(ceiling(MOST),),
            evidence=(Fact("rows", event.values.get("rows")),),
            phrase="changing the other rows of the batch changes the output of a row by {measured} (relative)",
        )


_case = Cases(RowsApart())
_APART = {"change": 0.0, "rows": 13.0}
PASSES = (
    _case("perfect_oracle", [_APART]),
    _case("rounding", [{**_APART, "change": 2e-6}], measured=2e-6),
)
FAILS = (
    _case("mean_over_rows", [{**_APART, "change": 0.4}], "rows_mix", 0.4, over=False),
    _case("not_a_number", [{**_APART, "change": float("nan")}]),
)
