"""pairs_kept: chunks that are adjacent in a reference corpus are adjacent in the corpus that contains it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, error, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_most, settle
from lvmcheck.checks.shared.epochs import check_count, check_number

LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5)
CONTAINED = 0.99
"""Share of the reference's rows above which the corpus counts as its superset."""


@dataclass(frozen=True, kw_only=True)
class PairsKept(Gate):
    """A corpus that contains a reference corpus has as many similar adjacent rows, and the same adjacent rows.

    Over all adjacent rows: at most `max_lost` of the reference's adjacent pairs above a cosine are missing from the
    corpus; the cosine is the highest of 0.9, 0.8, 0.7, 0.6, 0.5 above which the reference has `min_pairs` pairs. Where
    the corpus holds 99 % of the reference's rows (to float16), at most `max_parted` of its adjacent pairs are apart. A
    corpus that does not hold them cannot pass. A reference that was not given is an error in a suite.

    Why:
    28,785 adjacent pairs of the 584k corpus had a cosine of at least 0.9, and only 2,704 of the 790k corpus that was
    meant to be the same text with more behind it. Text that is appended cannot take pairs away: the old rows had been
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
    docs/history.md: the comparison of adjacent cosines of the two corpora.
    """

    optional: ClassVar[str] = "reference"

    max_lost: float = 0.0
    max_parted: float = 0.01
    min_pairs: int = 100

    def __post_init__(self) -> None:
        check_number("max_lost", self.max_lost, 0, 1)
        check_number("max_parted", self.max_parted, 0, 1)
        check_count("min_pairs", self.min_pairs)

    def gate(self, data: DataFacts) -> Outcome:
        rows, held = data.number("gate.reference.rows"), data.number("gate.reference.rows_found")
        contained = held / rows if rows > 0 else math.nan
        evidence = facts(reference_rows=rows, rows_found=held)
        found = self._counts(data, evidence)
        if contained >= CONTAINED:
            found.append(self._apart(data, evidence))
        outcome = settle(found)
        if outcome.status is not Status.PASSED or contained >= CONTAINED:
            return outcome
        return error(f"the corpus holds {held:g} of the reference's {rows:g} rows: it is not a superset")

    def _counts(self, data: DataFacts, evidence: tuple[Fact, ...]) -> list[Finding]:
        theirs, ours = data.numbers("gate.reference.pairs"), data.numbers("gate.reference.corpus_pairs")
        for level, before, after in zip(LEVELS, theirs, ours, strict=False):
            if before >= self.min_pairs or math.isnan(before):
                counts = facts(level=level, reference_pairs=before, corpus_pairs=after)
                return [
                    at_most(
                        "pairs_lost",
                        (before - after) / before,
                        self.max_lost,
                        evidence=(*counts, *evidence),
                        phrase="share of adjacent pairs of cosine at least {level} that were lost {measured}",
                    )
                ]
        return []

    def _apart(self, data: DataFacts, evidence: tuple[Fact, ...]) -> Finding:
        pairs, together = data.number("gate.reference.adjacent"), data.number("gate.reference.adjacent_kept")
        return at_most(
            "neighbours_apart",
            1.0 - together / pairs if pairs > 0 else math.nan,
            self.max_parted,
            evidence=(*facts(adjacent=together, reference_adjacent=pairs), *evidence),
            phrase="share of the reference's adjacent rows that are apart {measured}",
        )


def _counts(reference: Sequence[int], corpus: Sequence[int]) -> dict[str, list[int]]:
    return {"gate.reference.pairs": list(reference), "gate.reference.corpus_pairs": list(corpus)}


_case = made.Cases(PairsKept())
PASSES = (
    _case("against_itself", cases.run(), level=0.8),
    _case("appended", cases.run({**_counts([35, 430, 2861, 8952, 17_991], [60, 700, 4000, 12_000, 25_000])})),
)
FAILS = (
    _case(
        "corpus_790k",
        cases.run(
            {
                **_counts([28_785, 45_705, 66_335, 112_998, 200_000], [2_704, 6_228, 14_513, 42_133, 120_000]),
                "gate.reference.rows_found": 0,
            }
        ),
        "pairs_lost",
        reference_pairs=28_785,
        corpus_pairs=2_704,
    ),
    _case(
        "reordered_inside",
        cases.run({"gate.reference.adjacent_kept": 8_000}),
        "neighbours_apart",
        adjacent=8_000,
        reference_adjacent=42_730,
    ),
    _case("not_a_number", cases.run({"gate.reference.pairs": [math.nan] * 5}), measured=math.nan),
)
