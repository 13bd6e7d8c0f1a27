"""pairs_kept: what stood side by side in a reference corpus still does in the corpus that contains it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import Facts, Gate
from lvmcheck.checks.finding import Outcome, Status, error
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import Comparison, at_most, settle
from lvmcheck.checks.shared.epochs import check_count, check_number

LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5)
CONTAINED = 0.99
"""Share of the reference's rows above which the corpus counts as its superset."""


@dataclass(frozen=True, kw_only=True)
class PairsKept(Gate):
    """A corpus that contains a reference corpus has at least as many similar neighbours, and keeps its neighbours.

    Over all adjacent rows: at most `max_lost` of the reference's adjacent pairs above a cosine are missing from the
    corpus; the cosine is the highest of 0.9, 0.8, 0.7, 0.6, 0.5 above which the reference has `min_pairs` pairs. Where
    the corpus holds 99 % of the reference's rows (to float16), at most `max_parted` of its adjacent pairs are apart. A
    corpus that does not hold them cannot pass. A reference that was not given is an error in a suite.

    Why:
    28,785 adjacent pairs of the 584k corpus had a cosine of at least 0.9, and only 2,704 of the 790k corpus that was
    said to be the same text with more behind it. Text that is appended cannot take pairs away: the old rows had been
    reordered. One subtraction would have saved three trainings.

    Usual causes:
    - The whole file was sorted again, by a key with ties.
    - Rows were dropped or merged between the two versions.
    - The reference is another corpus, or was made by another encoder.

    Fix:
    Append behind the reference without touching it, or sort by article and position.

    Healthy runs that must pass:
    A corpus against itself, and with articles appended or put in between.

    Source:
    The ancestors' coherence comparison of the two corpora.
    """

    optional: ClassVar[str] = "reference"

    max_lost: float = 0.0
    max_parted: float = 0.01
    min_pairs: int = 100

    def __post_init__(self) -> None:
        check_number("max_lost", self.max_lost, 0, 1)
        check_number("max_parted", self.max_parted, 0, 1)
        check_count("min_pairs", self.min_pairs)

    def gate(self, facts: Facts) -> Outcome:
        rows, held = facts.number("gate.reference.rows"), facts.number("gate.reference.rows_found")
        contained = held / rows if rows > 0 else math.nan
        shown = f"the corpus holds {figure(held)} of the reference's {figure(rows)} rows"
        found = self._counts(facts, shown)
        if contained >= CONTAINED:
            found.append(self._apart(facts, shown))
        outcome = settle(found)
        if outcome.status is not Status.PASSED or contained >= CONTAINED:
            return outcome
        return error(f"{shown}: it is not a superset, so what it lost cannot be said")

    def _counts(self, facts: Facts, shown: str) -> list[Comparison]:
        theirs, ours = facts.numbers("gate.reference.pairs"), facts.numbers("gate.reference.corpus_pairs")
        for level, before, after in zip(LEVELS, theirs, ours, strict=False):
            if before >= self.min_pairs or math.isnan(before):
                lost = (before - after) / before
                counts = f"{figure(before)} pairs in the reference, {figure(after)} in the corpus"
                what = f"share of adjacent pairs of cosine at least {level:g} that were lost"
                return [at_most(what, lost, self.max_lost, [counts, shown])]
        return []

    def _apart(self, facts: Facts, shown: str) -> Comparison:
        pairs, kept = facts.number("gate.reference.adjacent"), facts.number("gate.reference.adjacent_kept")
        apart = 1.0 - kept / pairs if pairs > 0 else math.nan
        evidence = [f"{figure(kept)} of {figure(pairs)} adjacent pairs of the reference are still adjacent", shown]
        return at_most("share of the reference's neighbours that are apart", apart, self.max_parted, evidence)


def _counts(reference: Sequence[int], corpus: Sequence[int]) -> dict[str, list[int]]:
    return {"gate.reference.pairs": list(reference), "gate.reference.corpus_pairs": list(corpus)}


_CHECK = PairsKept()
PASSES: Sequence[Case] = (
    made.case("against_itself", _CHECK, cases.run(), ("cosine at least 0.8",)),
    made.case(
        "appended", _CHECK, cases.run({**_counts([35, 430, 2861, 8952, 17_991], [60, 700, 4000, 12_000, 25_000])})
    ),
)
FAILS: Sequence[Case] = (
    made.case(
        "corpus_790k",
        _CHECK,
        cases.run(
            {
                **_counts([28_785, 45_705, 66_335, 112_998, 200_000], [2_704, 6_228, 14_513, 42_133, 120_000]),
                "gate.reference.rows_found": 0,
            }
        ),
        ("28,785", "2,704"),
    ),
    made.case(
        "reordered_inside",
        _CHECK,
        cases.run({"gate.reference.adjacent_kept": 8_000}),
        ("8,000 of 42,730",),
    ),
    made.case("not_a_number", _CHECK, cases.run({"gate.reference.pairs": [math.nan] * 5}), ("NaN",)),
)
