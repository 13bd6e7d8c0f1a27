"""windows_inside_articles: no window holds the end of one article and the beginning of the next."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate, without_ids
from lvmcheck.checks.finding import Finding, Outcome, Status, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_most, settle
from lvmcheck.checks.shared.epochs import check_number

LONG = 50
"""Windows of one article that hold this many contexts: no such article, or its boundaries are lost."""


@dataclass(frozen=True, kw_only=True)
class WindowsInsideArticles(Gate):
    """Every window lies inside one article, and there are at most as many as articles allow.

    Counted over all windows: at most `max_crossing` of them touch two articles, have rows without an article, or were
    listed by the file and leave their article; and their number is at most the sum over articles of max(0, n -
    context). The N - context test: as many windows as rows less one context mean that all rows count as one article.
    Data without article ids fail that test or are "not recorded", never a pass.

    Why:
    A window that crosses asks for a chunk that nothing in its context announces. Every "N - 5" file of the original
    project (8,106 = 8,111 - 5, 726,014 = 726,019 - 5) had them; the sound one lost five windows per article.

    Usual causes:
    - The exporter slides over the whole file and never looks at the article.
    - Articles were concatenated across excluded ranges.
    - The rows have lost their article ids.

    Fix:
    Make windows article by article; expect context windows fewer per article than it has chunks.

    Healthy runs that must pass:
    Articles shorter than a window, which give none; a file that lists fewer windows than there could be.

    Source:
    docs/history.md: exporters and their counts; 543,773 = 584,545 - about 5 x 8,150 in the sound file.
    """

    max_crossing: float = 0.0

    def __post_init__(self) -> None:
        check_number("max_crossing", self.max_crossing, 0, 1)

    def gate(self, data: DataFacts) -> Outcome:
        parts = data.parts(ood=False)
        outcome = settle([finding for part in parts for finding in self._part(data, part, part == parts[0])])
        if outcome.status is Status.PASSED and data.text("gate.grouped") != "article":
            return without_ids("whether windows cross articles cannot be gated")
        return outcome

    def _part(self, data: DataFacts, part: str, first: bool) -> list[Finding]:
        windows, inside, crossing, unplaced = (
            data.number(f"gate.{part}.windows{name}") for name in ("", "_inside", "_crossing", "_unplaced")
        )
        rows, articles = data.number(f"gate.{part}.rows"), data.number(f"gate.{part}.articles")
        context, left = data.number("context"), data.number("gate.left_article") if first else 0.0
        sizes = facts(rows=rows, articles=articles, context=context, windows=windows, windows_inside=inside)
        evidence = (*facts(part=part, crossing=crossing, unplaced=unplaced, left_article=left), *sizes)
        outside = (crossing + unplaced + left) / (windows + left) if windows + left > 0 else math.nan
        joined = float(inside == rows - context and inside > LONG * context)
        words = "{part}: share of windows outside one article {measured}"
        whole = "{part}: corpora in which all rows count as one article (windows = rows - context) {measured}"
        found = [
            at_most("outside_one_article", outside, self.max_crossing, evidence=evidence, phrase=words),
            at_most("one_article", joined, 0, evidence=evidence, phrase=whole),
        ]
        if data.text("gate.grouped") == "article":
            many = "{part}: {measured} windows"
            found.append(at_most("window_count", windows, inside, evidence=evidence, phrase=many))
        return found


_case = made.Cases(WindowsInsideArticles())
PASSES = (
    _case("wikitext", cases.run()),
    _case("twin", cases.run(facts=cases.TWIN)),
    _case("fewer_than_could_be", cases.run({"gate.data.windows": 20_000})),
)
FAILS = (
    _case(
        "n_minus_context",
        cases.run({"gate.data.windows": 43_382, "gate.data.windows_inside": 43_382, "gate.data.articles": 1}),
        "one_article",
        rows=43_387,
        context=5,
    ),
    _case(
        "no_ids_and_n_minus_context",
        cases.run({"gate.data.windows": 43_382, "gate.data.windows_inside": 43_382, "gate.grouped": ""}),
    ),
    _case("crossing", cases.run({"gate.data.windows_crossing": 3_500}), "outside_one_article", crossing=3_500),
    _case("listed", cases.run({"gate.left_article": 3_280}), "outside_one_article", left_article=3_280),
    _case("null_group", cases.run({"gate.data.windows_unplaced": 32_000}), unplaced=32_000),
    _case("too_many", cases.run({"gate.data.windows": 43_000}), "window_count", 43_000),
    _case("not_a_number", cases.run({"gate.data.windows_crossing": math.nan}), measured=math.nan),
)
