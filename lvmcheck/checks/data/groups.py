"""groups: every row has an article, and articles have the number and sizes that articles have."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate, without_ids
from lvmcheck.checks.finding import Finding, Outcome, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_least, at_most, settle
from lvmcheck.checks.shared.epochs import check_count, check_number


@dataclass(frozen=True, kw_only=True)
class Groups(Gate):
    """Rows without an article id, oversized articles, one huge article, torn articles and the number of articles.

    At most `max_null` of the rows have no id (negative, the largest number of the type, or a text such as "null"); at
    most `max_oversized` of them lie in articles of more than 200 chunks and more than 20 times the median (of articles
    long enough for a window); the largest article holds at most `max_largest`; no article is in several pieces; and
    with `expected`, the number of articles is within `tolerance` of it. Data without article ids cannot be gated: that
    is "not recorded", never a pass.

    Why:
    80.5 % of the rows of the 790k file had a null id and were "ordered" inside that group by an insert time with ties:
    4,736 groups where 15,192 articles were expected. The metadata of the file held both numbers; nothing compared them.

    Usual causes:
    - A bulk loader that writes no article id, joined with one that does.
    - A join that lost its key, or a placeholder id shared by many articles.
    - Rows sorted by something else than the article (torn articles).

    Fix:
    Rebuild the file with the id and the position of every chunk in its article as the sort key.

    Healthy runs that must pass:
    Any number of articles of one chunk; a few long articles (WikiText: median 47 chunks, longest 378).

    Source:
    docs/history.md: the metadata of a file of 726,019 rows.
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

    def gate(self, data: DataFacts) -> Outcome:
        parts = data.parts(ood=False)
        if data.text("gate.grouped") != "article":
            return without_ids("neither groups nor a split by article can be gated")
        found = [finding for part in parts for finding in self._part(data, part)]
        if self.expected is not None:
            count = sum(data.number(f"gate.{part}.articles") for part in parts)
            found.append(
                at_most(
                    "article_count",
                    abs(count - self.expected) / self.expected,
                    self.tolerance,
                    evidence=facts(articles=count, expected=self.expected),
                    phrase="{articles} articles differ from the {expected} expected by a share of {measured}",
                )
            )
        return settle(found)

    def _part(self, data: DataFacts, part: str) -> list[Finding]:
        names = ("articles", "rows", "null_rows", "median_article", "largest_article")
        evidence = facts({"part": part, **{name: data.number(f"gate.{part}.{name}") for name in names}})
        torn, articles = (data.number(f"gate.{part}.{name}") for name in ("torn_articles", "articles"))
        shares = (
            ("rows_without_id", "null_rows", self.max_null, "rows without an article id"),
            ("oversized_articles", "oversized_rows", self.max_oversized, "rows in oversized articles"),
            ("largest_article", "largest_article", self.max_largest, "rows in the largest article"),
        )
        return [
            *(
                at_most(
                    code,
                    data.share(part, count),
                    limit,
                    evidence=evidence,
                    phrase=f"{{part}}: share of {words} {{measured}}",
                )
                for code, count, limit, words in shares
            ),
            at_most("torn_articles", torn, 0, evidence=evidence, phrase="{part}: {measured} pieces of torn articles"),
            at_least("articles", articles, 1, evidence=evidence, phrase="{part}: {measured} articles"),
        ]


_case = made.Cases(Groups())
PASSES = (
    made.case("wikitext", Groups(expected=657), cases.run()),
    _case("twin", cases.run(facts=cases.TWIN)),
    _case("articles_of_one_chunk", cases.run({"gate.data.median_article": 1.0})),
)
FAILS = (
    _case("null_group", cases.run({"gate.data.null_rows": 34_926}), "rows_without_id", 0.805),
    _case("one_huge_article", cases.run({"gate.data.largest_article": 30_000}), "largest_article"),
    _case(
        "oversized",
        cases.run({"gate.data.oversized_rows": 2_000, "gate.data.oversized_articles": 1}),
        "oversized_articles",
    ),
    _case("torn", cases.run({"gate.data.torn_articles": 12_000}), "torn_articles", 12_000),
    made.case(
        "too_few",
        Groups(expected=15_192),
        cases.run({"gate.data.articles": 4_736}),
        "article_count",
        articles=4_736,
        expected=15_192,
    ),
    _case("not_a_number", cases.run({"gate.data.null_rows": math.nan}), measured=math.nan),
)
