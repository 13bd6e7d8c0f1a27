"""groups: every row has an article, and articles have the number and sizes that articles have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import Facts, Gate, said
from lvmcheck.checks.finding import Outcome, error
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import Comparison, at_least, at_most, settle
from lvmcheck.checks.shared.epochs import check_count, check_number


@dataclass(frozen=True, kw_only=True)
class Groups(Gate):
    """Rows without an article id, oversized articles, one huge article, torn articles and the number of articles.

    At most `max_null` of the rows have no id (negative, the largest number of the type, or a text such as "null"); at
    most `max_oversized` of them lie in articles of more than 200 chunks and more than 20 times the median (of articles
    long enough for a window); the largest article holds at most `max_largest`; no article is in several pieces; and
    with `expected`, the number of articles is within `tolerance` of it. Data without article ids cannot be gated: that
    is an error, never a pass.

    Why:
    80.5 % of the rows of the 790k file had a null id and were "ordered" inside that group by an insert time with ties:
    4,736 groups where 15,192 articles were expected. The file said so in its metadata; nobody counted.

    Usual causes:
    - A bulk loader that writes no article id, joined with one that does.
    - A join that lost its key, or a placeholder id shared by many articles.
    - Rows sorted by something else than the article (torn articles).

    Fix:
    Rebuild the file with the id and the position of every chunk in its article as the sort key.

    Healthy runs that must pass:
    Any number of articles of one chunk; a few long articles (WikiText: median 47 chunks, longest 378).

    Source:
    The metadata of the ancestors' 726,019-row file.
    """

    max_null: float = 0.0
    max_oversized: float = 0.0
    max_largest: float = 0.2
    expected: int | None = None
    tolerance: float = 0.02

    def __post_init__(self) -> None:
        for key in ("max_null", "max_oversized", "max_largest", "tolerance"):
            check_number(key, getattr(self, key), 0, 1)
        if self.expected is not None:
            check_count("expected", self.expected)

    def gate(self, facts: Facts) -> Outcome:
        parts = facts.parts(ood=False)
        if facts.text("gate.grouped") != "article":
            return error("the data have no article ids: neither groups nor a split by article can be gated")
        found = [verdict for part in parts for verdict in self._part(facts, part)]
        if self.expected is not None:
            count = sum(facts.number(f"gate.{part}.articles") for part in parts)
            what = f"relative distance of the number of articles, {figure(count)}, from the {self.expected:,} expected"
            found.append(at_most(what, abs(count - self.expected) / self.expected, self.tolerance))
        return settle(found)

    def _part(self, facts: Facts, part: str) -> list[Comparison]:
        shown = [
            f"{figure(facts.number(f'gate.{part}.articles'))} articles with an id, median "
            f"{figure(facts.number(f'gate.{part}.median_article'))} chunks, largest "
            f"{figure(facts.number(f'gate.{part}.largest_article'))}",
            f"{figure(facts.number(f'gate.{part}.null_rows'))} of {figure(facts.number(f'gate.{part}.rows'))} rows "
            "have no id",
        ]
        share = facts.share
        where = said(part)
        return [
            at_most(f"share of rows without an article in {where}", share(part, "null_rows"), self.max_null, shown),
            at_most(
                f"share of rows in oversized articles of {where}",
                share(part, "oversized_rows"),
                self.max_oversized,
                shown,
            ),
            at_most(
                f"share of the largest article in {where}", share(part, "largest_article"), self.max_largest, shown
            ),
            at_most(
                f"further pieces of torn articles in {where}", facts.number(f"gate.{part}.torn_articles"), 0, shown
            ),
            at_least(f"articles in {where}", facts.number(f"gate.{part}.articles"), 1, shown),
        ]


_CHECK = Groups()
PASSES: Sequence[Case] = (
    made.case("wikitext", Groups(expected=657), cases.run()),
    made.case("twin", _CHECK, cases.run(facts=cases.TWIN)),
    made.case("articles_of_one_chunk", _CHECK, cases.run({"gate.data.median_article": 1.0})),
)
FAILS: Sequence[Case] = (
    made.case("null_group", _CHECK, cases.run({"gate.data.null_rows": 34_926}), ("without an article", "0.805")),
    made.case("one_huge_article", _CHECK, cases.run({"gate.data.largest_article": 30_000}), ("largest article",)),
    made.case(
        "oversized",
        _CHECK,
        cases.run({"gate.data.oversized_rows": 2_000, "gate.data.oversized_articles": 1}),
        ("oversized",),
    ),
    made.case("torn", _CHECK, cases.run({"gate.data.torn_articles": 12_000}), ("torn",)),
    made.case("too_few", Groups(expected=15_192), cases.run({"gate.data.articles": 4_736}), ("4,736", "15,192")),
    made.case("not_a_number", _CHECK, cases.run({"gate.data.null_rows": math.nan}), ("NaN",)),
)
