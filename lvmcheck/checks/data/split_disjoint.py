"""split_disjoint: nothing of validation was in training, by article and by vector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate, without_ids
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, compared, facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import UnmeasuredError, at_most, settle
from lvmcheck.checks.shared.epochs import check_count, check_number
from lvmcheck.errors import BadValueError
from lvmcheck.run import events as ev

LEVELS = (0.999, 0.995, 0.99, 0.98, 0.95)
"""Cosines at which twins are counted."""
PREFIX = "gate.split."


@dataclass(frozen=True, kw_only=True)
class SplitDisjoint(Gate):
    """Train and validation share no article and no chunk, and few validation targets have a twin in training.

    A twin is a row of any training window, whatever its number or article id, whose cosine with the target is at least
    `cosine` (0.999, 0.995, 0.99, 0.98 or 0.95); copies bit for bit are twins, too. At most `max_twins` of the
    validation targets have one, or at most `few` targets. Every target is searched in all rows, exactly; where that is
    too much work, a random part of the targets is, and the evidence says how many. Twins between at most `few` pairs of
    articles, none of which holds half of a validation article, are quotations and no leak.

    At most `max_leak` of the targets are rows of training windows themselves (where the corpus is in reading order);
    articles with windows on both sides: none. Data without article ids can fail but not pass: that is "not recorded".

    Why:
    Validation that was seen in training measures memorisation. In the original project evaluation sets overlapped with
    training by 74 to 91 %, and the split drew overlapping windows at random, so that almost every target was part of a
    training window. Row numbers and ids do not show it: an article that was ingested twice has two ids.

    Usual causes:
    - Windows were drawn at random instead of articles.
    - The same article, or some of its rows, was ingested twice under two ids.
    - The evaluation set was cut out of the training file and not removed from it.

    Fix:
    Remove repeated rows and articles before the split, then split by article before windows are made.

    Healthy runs that must pass:
    Sentences that prose repeats (WikiText: 0.12 % of the targets); a chapter that one document quotes from another
    (Python's documentation: 4.9 % of the targets of one split, two pairs of articles).

    Source:
    docs/history.md: the leak warning for the evaluation sets, and the random split.
    """

    max_leak: float = 0.0
    max_twins: float = 0.01
    cosine: float = 0.98
    few: int = 5

    def __post_init__(self) -> None:
        check_number("max_leak", self.max_leak, 0, 1)
        check_number("max_twins", self.max_twins, 0, 1)
        check_count("few", self.few)
        if self.cosine not in LEVELS:
            raise BadValueError("cosine", f"expected one of {', '.join(map(str, LEVELS))}, got {self.cosine!r}")

    def gate(self, data: DataFacts) -> Outcome:
        data.parts()
        evidence = facts(split=data.text("split") or "unknown")
        grouped = data.text("gate.grouped") == "article"
        found = [self._leak(data, evidence), self._twins(data, evidence, grouped)]
        if grouped and data.number(f"{PREFIX}one_corpus") != 0:
            shared = data.number(f"{PREFIX}shared_articles")
            words = "articles on both sides of the split {measured}"
            found.append(at_most("shared_articles", shared, 0, evidence=evidence, phrase=words))
        twins = found[1]
        outcome = compared(twins, evaluated=len(found)) if all(it.met for it in found) else settle(found)
        if outcome.status is Status.PASSED and not grouped:
            return without_ids("whether the split is disjoint by article cannot be gated")
        return outcome

    def _leak(self, data: DataFacts, evidence: tuple[Fact, ...]) -> Finding:
        """Targets inside training windows: by row number, or, where rows have none, by their bits."""
        by_row = data.number(f"{PREFIX}by_row") != 0
        limit = self.max_leak if by_row else max(self.max_leak, self._allowed(data))
        words = "share of validation targets inside training windows {measured}"
        return at_most("targets_in_training", data.number("leak"), limit, evidence=evidence, phrase=words)

    def _twins(self, data: DataFacts, evidence: tuple[Fact, ...], grouped: bool) -> Finding:
        shares = data.numbers(f"{PREFIX}twin_shares")
        levels = data.numbers(f"{PREFIX}twin_levels")
        if len(shares) != len(levels) or self.cosine not in levels:
            raise UnmeasuredError(f"the share of twins at cosine {self.cosine} is not recorded")
        share = shares[levels.index(self.cosine)]
        targets, searched, copied, pairs, covered = (
            data.number(PREFIX + name)
            for name in ("targets", "targets_searched", "copied_share", "twin_pairs", "twin_covered")
        )
        counts = facts(
            targets=targets, searched=searched, copied=copied, article_pairs=pairs, in_whole_articles=covered
        )
        at = [Fact(f"share_at_{round(1000 * level)}", value) for level, value in zip(levels, shares, strict=True)]
        evidence = (*evidence, Fact("cosine", self.cosine), *counts, *at)
        allowed = self._allowed(data)
        if grouped and allowed < share and pairs <= self.few and covered == 0:
            words = "quotations: pairs of a validation and a training article that share passages {measured}"
            return at_most("quotations", pairs, self.few, evidence=evidence, phrase=words)
        words = "share of validation targets with a twin in training (cosine {cosine} or more) {measured}"
        return at_most("twins", share, allowed, evidence=evidence, phrase=words)

    def _allowed(self, data: DataFacts) -> float:
        """Share of the targets that prose may repeat."""
        targets = data.number(f"{PREFIX}targets_searched")
        return max(self.max_twins, self.few / targets) if targets > 0 else math.nan


def _twinned(*shares: float, pairs: int = 120, covered: float = 0.0, **more: ev.Value) -> dict[str, ev.Value]:
    """Facts of a split with twins at every level."""
    given: Mapping[str, ev.Value] = {"twin_shares": list(shares), "twin_pairs": pairs, "twin_covered": covered, **more}
    return {PREFIX + key: value for key, value in given.items()}


_case = made.Cases(SplitDisjoint())
_COPIED = _twinned(*[0.0268] * 4, 0.0270, copied_share=0.0268)
PASSES = (
    _case("wikitext", cases.run()),
    _case("twin_of_two_corpora", cases.run(facts=cases.TWIN)),
    _case("sentences_that_prose_repeats", cases.run(_twinned(0.001, 0.001, 0.001, 0.0012, 0.002)), "twins", 0.0012),
    _case("a_chapter_quoted", cases.run(_twinned(0.044, 0.046, 0.0486, 0.0486, 0.053, pairs=2)), "quotations", 2),
    _case("four_targets_of_ninety", cases.run(_twinned(*[4 / 90] * 5, targets_searched=90))),
)
FAILS = (
    _case("random_split", cases.run({"leak": 1.0, "split": "random"}), "targets_in_training", 1.0, split="random"),
    _case("rows_copied_under_new_ids", cases.run(_COPIED), "twins", 0.0268, copied=0.0268),
    _case(
        "articles_twice",
        cases.run(_twinned(0.0, 0.031, 0.05, 0.052, 0.052, pairs=4, covered=0.05)),
        "twins",
        0.052,
        in_whole_articles=0.05,
    ),
    made.case(
        "rewritten",
        SplitDisjoint(cosine=0.95),
        cases.run(_twinned(0.0, 0.0, 0.0, 0.001, 0.3)),
        "twins",
        0.3,
        cosine=0.95,
    ),
    _case("one_article_on_both_sides", cases.run({"gate.split.shared_articles": 1}), "shared_articles", 1),
    _case("leak_without_ids", cases.run({"leak": 0.5, "gate.grouped": ""}), measured=0.5),
    _case("copies_without_ids", cases.run({**_COPIED, "gate.grouped": ""}), "twins", 0.0268),
    _case("not_a_number", cases.run({"leak": math.nan}), measured=math.nan),
)
