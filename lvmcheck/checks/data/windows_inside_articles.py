"""windows_inside_articles: no window shows the end of one article and the beginning of the next."""

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
from lvmcheck.checks.shared.compare import Comparison, at_most, settle
from lvmcheck.checks.shared.epochs import check_number

LONG = 50
"""Windows of one article that hold this many contexts: no such article, or its boundaries are lost."""


@dataclass(frozen=True, kw_only=True)
class WindowsInsideArticles(Gate):
    """Every window lies inside one article, and there are at most as many as articles allow.

    Counted over all windows: at most `max_crossing` of them touch two articles, have rows without an article, or were
    listed by the file and leave their article; and their number is at most the sum over articles of max(0, n -
    context). The N - context test: as many windows as rows less one context mean that all rows count as one article.
    Data without article ids fail that test or are an error, never a pass.

    Why:
    A window that crosses asks for a chunk that nothing in its context announces. Every "N - 5" file of the ancestors
    (8,106 = 8,111 - 5, 726,014 = 726,019 - 5) had them; the sound one lost five windows per article.

    Usual causes:
    - The exporter slides over the whole file and never looks at the article.
    - Articles were concatenated across excluded ranges.
    - The rows have lost their article ids.

    Fix:
    Make windows article by article; expect context windows fewer per article than it has chunks.

    Healthy runs that must pass:
    Articles shorter than a window, which give none; a file that lists fewer windows than there could be.

    Source:
    The ancestors' exporters and their counts: 543,773 = 584,545 - about 5 x 8,150 in the sound file.
    """

    max_crossing: float = 0.0

    def __post_init__(self) -> None:
        check_number("max_crossing", self.max_crossing, 0, 1)

    def gate(self, facts: Facts) -> Outcome:
        parts = facts.parts(ood=False)
        outcome = settle([verdict for part in parts for verdict in self._part(facts, part, parts)])
        if outcome.status == "passed" and facts.text("gate.grouped") != "article":
            return error("the data have no article ids: whether windows cross articles cannot be gated")
        return outcome

    def _part(self, facts: Facts, part: str, parts: Sequence[str]) -> list[Comparison]:
        count = {
            name: facts.number(f"gate.{part}.{name}")
            for name in ("windows", "windows_inside", "windows_crossing", "windows_unplaced", "rows", "articles")
        }
        left = facts.number("gate.left_article") if part == parts[0] else 0.0
        context = facts.number("context")
        shown = [
            f"{figure(count['windows'])} windows over {figure(count['rows'])} rows of {figure(count['articles'])} "
            f"articles; at most {figure(count['windows_inside'])} fit inside them",
            f"{figure(count['windows_crossing'])} touch two articles, {figure(count['windows_unplaced'])} have rows "
            f"without an article, {figure(left)} were listed and leave their article",
        ]
        bad = count["windows_crossing"] + count["windows_unplaced"] + left
        share = bad / (count["windows"] + left) if count["windows"] + left > 0 else math.nan
        where = said(part)
        joined = count["windows_inside"] == count["rows"] - context and count["windows_inside"] > LONG * context
        lost = f"{figure(count['rows'])} rows - context {figure(context)} = {figure(count['windows_inside'])}"
        found = [
            at_most(f"share of windows outside one article in {where}", share, self.max_crossing, shown),
            at_most(
                f"corpora in which all rows are one article (windows = rows - context) in {where}",
                float(joined),
                0,
                [lost, *shown],
            ),
        ]
        if facts.text("gate.grouped") == "article":
            found.append(at_most(f"windows in {where}", count["windows"], count["windows_inside"], shown))
        return found


_CHECK = WindowsInsideArticles()
PASSES: Sequence[Case] = (
    made.case("wikitext", _CHECK, cases.run()),
    made.case("twin", _CHECK, cases.run(facts=cases.TWIN)),
    made.case("fewer_than_could_be", _CHECK, cases.run({"gate.data.windows": 20_000})),
)
FAILS: Sequence[Case] = (
    made.case(
        "n_minus_context",
        _CHECK,
        cases.run({"gate.data.windows": 43_382, "gate.data.windows_inside": 43_382, "gate.data.articles": 1}),
        ("43,387 rows - context 5",),
    ),
    made.case(
        "no_ids_and_n_minus_context",
        _CHECK,
        cases.run({"gate.data.windows": 43_382, "gate.data.windows_inside": 43_382, "gate.grouped": ""}),
    ),
    made.case("crossing", _CHECK, cases.run({"gate.data.windows_crossing": 3_500}), ("3,500 touch two articles",)),
    made.case("listed", _CHECK, cases.run({"gate.left_article": 3_280}), ("3,280 were listed",)),
    made.case("null_group", _CHECK, cases.run({"gate.data.windows_unplaced": 32_000}), ("without an article",)),
    made.case("too_many", _CHECK, cases.run({"gate.data.windows": 43_000}), ("windows in the data",)),
    made.case("not_a_number", _CHECK, cases.run({"gate.data.windows_crossing": math.nan}), ("NaN",)),
)
