"""document_order: rows stand in the order of their documents, over short and long ranges, everywhere in the corpus."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Fact, Finding, Outcome, facts, not_applicable
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import UnmeasuredError, at_least, at_most, settle
from lvmcheck.checks.shared.epochs import check_number
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

ERRORS = 3.0
"""Standard errors that a figure of a stretch is given the benefit of."""
LEAST = 400
"""Pairs of neighbours below which order is not measured."""
PHRASES = {
    "fall": "{part}: fall of the cosine from lag 1 to lag 5, with three standard errors {measured}",
    "shape": "{part}: share of that fall between lag 1 and lag 2, with three standard errors {measured}",
}


@dataclass(frozen=True, kw_only=True)
class DocumentOrder(Gate):
    """Chunks that follow each other are the most alike, in every stretch of the file and without a period.

    Measured on up to 16 stretches of consecutive rows that cover the file (all rows of a small one), inside articles:
    the fall of the mean cosine from lag 1 to lag 5, in units of 1 minus the cosine of random rows, is at least
    `min_fall`; of that fall at least `min_shape` lies between lag 1 and lag 2. Both hold in each stretch, give or take
    three standard errors. And no pair of neighbours that recurs every k rows (k to 128), counted from the first row or
    in each article, is less alike than the others by more than `max_period` standard errors beyond what the worst of so
    many places reaches by chance. Fewer than 400 pairs of neighbours do not tell: not applicable.

    Why:
    Means over a corpus hide a fault of order that costs a model what it could learn: chunks shuffled in blocks of three
    leave the cosine of neighbours at 0.43 instead of 0.46 and take 0.005 of validation cosine (WikiText); blocks of
    three that changed places take 0.044.

    Usual causes:
    - Rows were written by several workers, batch by batch, and sorted by nothing that orders them.
    - The sort key has ties (an insert time), or is text ("10" before "2").
    - Rows were shuffled, or moved, together with their article ids.

    Fix:
    Sort by article and by the position of each chunk in it before vectors are written.

    Healthy runs that must pass:
    Subjects that change within an article; articles that begin alike; another encoder with lower cosines. A text that
    alternates by design (question, answer) has a period of 2: raise max_period for it.

    Source:
    docs/gates.md: WikiText, enwiki, pydoc and the twin, each in order and in 12 broken orders.
    """

    min_fall: float = 0.05
    min_shape: float = 0.33
    max_period: float = 2.0

    def __post_init__(self) -> None:
        check_number("min_fall", self.min_fall, 0, 2)
        check_number("min_shape", self.min_shape, 0, 1)
        check_number("max_period", self.max_period, 0, 1000)

    def gate(self, data: DataFacts) -> Outcome:
        found: list[Finding] = []
        few = 0.0
        for part in data.parts(ood=False):
            pairs = data.number(f"gate.{part}.order_pairs")
            if data.has(f"gate.{part}.order_fall") or not pairs < LEAST:
                found += self._part(data, part, pairs)
            else:
                few = pairs
        return (
            settle(found) if found else not_applicable(f"{few:.0f} pairs of neighbours are too few to tell their order")
        )

    def _part(self, data: DataFacts, part: str, pairs: float) -> list[Finding]:
        lags = {f"lag_{i}": value for i, value in enumerate(data.numbers(f"gate.{part}.order_lags"), 1)}
        at = facts(part=part, pairs=pairs)
        period, excess, inside, edge = (
            data.number(f"gate.{part}.order_period{name}") for name in ("", "_excess", "_inside", "_edge")
        )
        block = facts(block=period, cosine_inside=inside, cosine_at_edges=edge)
        words = "{part}: neighbours {block} rows apart are less alike, by standard errors beyond chance {measured}"
        return [
            self._least(data, part, "fall", self.min_fall, (*at, *facts(lags))),
            self._least(data, part, "shape", self.min_shape, (*at, *facts(lags))),
            at_most("period", excess, self.max_period, evidence=(*at, *block), phrase=words),
        ]

    def _least(self, data: DataFacts, part: str, kind: str, limit: float, evidence: tuple[Fact, ...]) -> Finding:
        """The stretch, or the whole, with the lowest figure after its error."""
        whole = data.number(f"gate.{part}.order_{kind}"), data.number(f"gate.{part}.order_{kind}_error")
        values, errors, rows = (
            data.numbers(f"gate.{part}.order_stretch_{name}") for name in (f"{kind}s", f"{kind}_errors", "rows")
        )
        if not len(values) == len(errors) == len(rows):
            raise UnmeasuredError(f"the stretches of {part} do not agree in number")
        figures = [(*whole, 0.0), *zip(values, errors, rows, strict=True)]
        highs = [value + ERRORS * error for value, error, _ in figures]
        worst = min(range(len(highs)), key=lambda i: (not math.isnan(highs[i]), highs[i]))
        said = (
            *evidence,
            *facts(measured=figures[worst][0], standard_error=figures[worst][1], from_row=figures[worst][2]),
        )
        return at_least(f"low_{kind}", highs[worst], limit, evidence=said, phrase=PHRASES[kind])


_case = made.Cases(DocumentOrder())


def _broken(part: str = "data", **values: ev.Value) -> Run:
    """WikiText with another order, as measured; one figure for all stretches."""
    kept = {key: [value, *([1.0] * 15)] if key.startswith("stretch") else value for key, value in values.items()}
    return cases.run({f"gate.{part}.order_{key}": value for key, value in kept.items()})


PASSES = (
    _case("wikitext", cases.run()),
    _case("twin", cases.run(facts=cases.TWIN)),
    _case("subjects_that_change", _broken(period=45, period_excess=1.12, period_edge=0.403)),
)
FAILS = (
    _case("shuffled_in_threes", _broken(shape=0.2858, shape_error=0.0117), "low_shape"),
    _case("shuffled_in_fifties", _broken(fall=0.0031, fall_error=0.0008), "low_fall", 0.0055),
    _case("a_sixteenth_shuffled", _broken(stretch_falls=0.004, stretch_fall_errors=0.003), "low_fall", 0.013),
    _case(
        "blocks_of_eight_moved",
        _broken(period=8, period_excess=20.9, period_inside=0.451, period_edge=0.386),
        "period",
        20.9,
        block=8,
        cosine_at_edges=0.386,
    ),
    _case("not_a_number", _broken(fall=math.nan), measured=math.nan),
)
