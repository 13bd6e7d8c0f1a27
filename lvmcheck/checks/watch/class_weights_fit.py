"""class_weights_fit: weights of classes are not as large as the classes are frequent, and no class is ignored."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

ROWS, RANGE, SHARE = 200, 2.5, 0.01
"""Rows of measured steps, largest over smallest weight, and share of rows that are ignored."""


@dataclass(frozen=True, kw_only=True)
class ClassWeightsFit(Watched):
    """Weights that a cross entropy is given, of which the largest is 2.5 times the smallest, do not rise with the
    frequencies of the classes so that the quotients of both differ by less than the root of that; and where each row
    has one answer, at most 1 % of the rows are of the class that `ignore_index` names.

    Why:
    Weights in proportion to the frequencies make rare classes count less twice. A class that is ignored, as padding is
    in other tasks, is never learned, and every answer on its rows is wrong.

    Usual causes:
    - counts / counts.sum() in place of its inverse.
    - ignore_index=0, left from a task with padding.

    Fix:
    weight = counts.sum() / (len(counts) * counts); ignore_index only for what is no class.

    Healthy runs that must pass:
    Weights against the frequencies; weights of balanced classes; padding that is ignored in sequences of tokens.

    Source:
    This project's list of faults in training loops.
    """

    event = "class_weights"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("rows", 0.0) < ROWS:
            return None
        facts = (Fact("classes", of.get("classes")), Fact("rows", of.get("rows")))
        ignored = of.get("ignored", 0.0) if of.get("one_a_row") else 0.0
        wide, quotient = of.get("range", math.nan), of.get("with_frequency", math.nan)
        if wide >= RANGE and not ignored > SHARE:
            rises = quotient <= math.sqrt(wide)
            return Finding(
                code="with_frequency",
                measured=wide if rises else 0.0,
                unit="x",
                bounds=(ceiling(RANGE),),
                evidence=(*facts, Fact("quotients", quotient)),
                phrase="the largest class weight is {measured} the smallest, and weights rise with the frequencies"
                if rises
                else "class weights do not rise with the frequencies",
            )
        return Finding(
            code="ignored",
            measured=ignored,
            bounds=(ceiling(SHARE),),
            evidence=facts,
            phrase="share of rows of the class that the loss ignores {measured}",
        )


_case = Cases(ClassWeightsFit())
_PLAIN = {"classes": 4.0, "rows": 900.0, "ignored": 0.0, "one_a_row": 1.0}
_WEIGHTED = {**_PLAIN, "range": 8.0, "with_frequency": 60.0}
PASSES = (
    _case("perfect_oracle", [_PLAIN]),
    _case("against_the_frequencies", [_WEIGHTED]),
    _case("padding_of_tokens", [{**_PLAIN, "ignored": 0.4, "one_a_row": 0.0}]),
    _case("few_rows", [{**_WEIGHTED, "rows": 64.0, "with_frequency": 1.0}, _PLAIN]),
)
FAILS = (
    _case("proportional", [{**_WEIGHTED, "with_frequency": 1.3}], "with_frequency", 8.0),
    _case("left_from_padding", [{**_PLAIN, "ignored": 0.11}], "ignored", 0.11),
    _case("not_a_number", [{**_PLAIN, "ignored": float("nan")}]),
)
