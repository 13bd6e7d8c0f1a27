"""padding_not_scored: the loss of a text is taken over its tokens, not over what fills its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

MOST = 0.1
ROWS, LENGTHS = 0.3, 3
"""Share of the rows that end in padding, and how many different lengths they have, for it to be padding."""


@dataclass(frozen=True, kw_only=True)
class PaddingNotScored(Watched):
    """Less than 10 % of the targets that a cross entropy counts are padding: positions at the end of rows where tokens
    and targets are both one and the same id, two or more of them, in 30 % of the rows and of three different lengths,
    in three measured batches in a row. Losses that are weighted, or masked after the call, are not looked at.

    Why:
    Padding is the easiest token: it dilutes the loss, accuracy looks excellent, and the model learns to pad.

    Usual causes:
    - ignore_index is missing, or names another id than the one that pads.
    - Rows were padded after the labels were masked.

    Fix:
    Set labels[labels == pad_id] = -100, or pass ignore_index=pad_id.

    Healthy runs that must pass:
    Rows without padding; padding that is ignored; targets that end in one id where the tokens do not; tasks whose rows
    all end in equally many blanks.

    Source:
    This project's list of checks: label_mask. An independent gallery: a recurrent model whose rows of 4 to 12 were
    padded to 16.
    """

    event = "padding"
    streak = 3

    def look(self, event: Watch) -> Finding:
        of = event.values
        share, rows, lengths = (of.get(key, math.nan) for key in ("share", "rows", "lengths"))
        padded = not (rows < ROWS or lengths < LENGTHS)
        return Finding(
            code="scored" if padded else "no_padding",
            measured=share if padded else 0.0,
            bounds=(ceiling(MOST),),
            evidence=(Fact("rows_padded", rows), Fact("lengths", lengths)),
            phrase="{measured} of the targets that the loss counts are padding at the end of rows",
        )


_case = Cases(PaddingNotScored())
_NONE = {"share": 0.0, "rows": 0.05, "lengths": 2.0}
_HALF = {"share": 0.45, "rows": 0.9, "lengths": 7.0}
PASSES = (
    _case("perfect_oracle", [_NONE] * 4),
    _case("ignored", [{**_HALF, "share": 0.0}] * 4),
    _case("equally_many_blanks", [{**_HALF, "rows": 1.0, "lengths": 1.0}] * 4),
    _case("a_little", [{**_HALF, "share": 0.08}] * 4),
)
FAILS = (
    _case("no_ignored_index", [_HALF] * 3, "scored", 0.45, over=False),
    _case("not_a_number", [{**_HALF, "share": math.nan}] * 3, "scored"),
)
