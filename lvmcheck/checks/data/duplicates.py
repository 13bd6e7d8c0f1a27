"""duplicates: few vectors are copies, or almost copies, of another."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Finding, Outcome, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_most, settle
from lvmcheck.checks.shared.epochs import check_number


@dataclass(frozen=True, kw_only=True)
class Duplicates(Gate):
    """At most `max_exact` of the rows of a corpus repeat an earlier row, and at most `max_near` have a near-duplicate.

    Exact duplicates are counted over all rows by a 64-bit fingerprint of their bits. Near-duplicates (cosine above
    0.999) are looked for among all rows of the corpus, for at most 1,000 rows drawn at random; exact ones count too.

    Why:
    Repeated rows weigh more in the loss, make retrieval ambiguous and leak from train to validation wherever the split
    falls between them. An "oracle recall of 94.6 %" in the original project was 5 % of duplicates, read as a defect of
    the index.

    Usual causes:
    - A batch was ingested twice.
    - Boilerplate (navigation, licences, headings) was encoded once for every page.
    - Padding or failed encodes that all give one vector.

    Fix:
    Remove repeated rows before windows are made; keep the first of each.

    Healthy runs that must pass:
    Reference prose that repeats a sentence here and there (Python's documentation: 1 % exact, 2 % near).

    Source:
    docs/history.md: recall at 1 of 0.946 on vectors that the bank already held.
    """

    max_exact: float = 0.02
    max_near: float = 0.05

    def __post_init__(self) -> None:
        check_number("max_exact", self.max_exact, 0, 1)
        check_number("max_near", self.max_near, 0, 1)

    def gate(self, data: DataFacts) -> Outcome:
        return settle([finding for part in data.parts() for finding in self._part(data, part)])

    def _part(self, data: DataFacts, part: str) -> list[Finding]:
        rows, sampled = data.number(f"gate.{part}.duplicate_rows"), data.number(f"gate.{part}.near_sampled")
        return [
            at_most(
                "repeated_rows",
                data.share(part, "duplicate_rows"),
                self.max_exact,
                evidence=facts(part=part, rows=rows),
                phrase="{part}: share of rows that repeat an earlier row {measured}",
            ),
            at_most(
                "near_duplicates",
                data.number(f"gate.{part}.near_share"),
                self.max_near,
                evidence=facts(part=part, rows_sampled=sampled),
                phrase="{part}: share of rows with a near-duplicate (cosine above 0.999) {measured}",
            ),
        ]


_case = made.Cases(Duplicates())
PASSES = (_case("wikitext", cases.run()), _case("twin", cases.run(facts=cases.TWIN)))
FAILS = (
    _case(
        "ingested_twice", cases.run({"gate.data.duplicate_rows": 21_000}), "repeated_rows", 21_000 / 43_387, rows=21_000
    ),
    _case("almost_copies", cases.run({"gate.ood.enwiki.near_share": 0.2}), "near_duplicates", 0.2, part="ood.enwiki"),
    _case("not_a_number", cases.run({"gate.data.near_share": math.nan}), measured=math.nan),
)
