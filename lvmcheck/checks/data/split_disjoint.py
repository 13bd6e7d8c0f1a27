"""split_disjoint: nothing of validation was in training, by article and by vector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, error, facts
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_most, settle
from lvmcheck.checks.shared.epochs import check_number


@dataclass(frozen=True, kw_only=True)
class SplitDisjoint(Gate):
    """Train and validation share no article, no chunk, and almost no near-duplicate.

    At most `max_leak` of the validation targets occur in training windows (all targets, bit for bit); at most
    `max_near` of at most 1,000 validation targets drawn at random have a vector of cosine above 0.999 among the rows
    of training; articles with windows on both sides: none. Where train and validation are two corpora, articles cannot
    be compared by number, and vectors alone decide. Data without article ids can fail but not pass: that is an error.

    Why:
    Validation that was seen in training measures memorisation. In the original project evaluation sets overlapped with
    training by 74 to 91 %, and the split drew overlapping windows at random, so that almost every target was part of a
    training window. On WikiText a random split scores 0.013 above the split by article; a retriever gains 0.22.

    Usual causes:
    - Windows were drawn at random instead of articles.
    - The same article was ingested twice under two ids.
    - The evaluation set was cut out of the training file and not removed from it.

    Fix:
    Split by article before windows are made, after duplicates were removed; make evaluation sets from other articles.

    Healthy runs that must pass:
    A sentence here and there that two articles share (WikiText: 0.05 % near-duplicates).

    Source:
    docs/history.md: the leak warning for the evaluation sets, and the random split.
    """

    max_leak: float = 0.0
    max_near: float = 0.02

    def __post_init__(self) -> None:
        check_number("max_leak", self.max_leak, 0, 1)
        check_number("max_near", self.max_near, 0, 1)

    def gate(self, data: DataFacts) -> Outcome:
        data.parts()
        evidence = facts(split=data.text("split") or "unknown")
        found = self._vectors(data, evidence)
        grouped = data.text("gate.grouped") == "article"
        if grouped and data.number("gate.split.one_corpus") != 0:
            shared = data.number("gate.split.shared_articles")
            words = "articles on both sides of the split {measured}"
            found.append(at_most("shared_articles", shared, 0, evidence=evidence, phrase=words))
        outcome = settle(found)
        if outcome.status is Status.PASSED and not grouped:
            return error("the data have no article ids: whether the split is disjoint by article cannot be gated")
        return outcome

    def _vectors(self, data: DataFacts, evidence: tuple[Fact, ...]) -> list[Finding]:
        sampled = data.number("gate.split.near_sampled")
        return [
            at_most(
                "targets_in_training",
                data.number("leak"),
                self.max_leak,
                evidence=evidence,
                phrase="share of validation targets inside training windows {measured}",
            ),
            at_most(
                "near_duplicates",
                data.number("gate.split.near_share"),
                self.max_near,
                evidence=(*evidence, *facts(targets_sampled=sampled)),
                phrase="share of validation targets with a near-duplicate (cosine above 0.999) in training {measured}",
            ),
        ]


_CHECK = SplitDisjoint()
PASSES: Sequence[Case] = (
    made.case("wikitext", _CHECK, cases.run()),
    made.case("twin_of_two_corpora", _CHECK, cases.run(facts=cases.TWIN)),
)
FAILS: Sequence[Case] = (
    made.case(
        "random_split", _CHECK, cases.run({"leak": 1.0, "split": "random"}), "targets_in_training", 1.0, split="random"
    ),
    made.case("near_copies", _CHECK, cases.run({"gate.split.near_share": 0.5}), "near_duplicates", 0.5),
    made.case("one_article_on_both_sides", _CHECK, cases.run({"gate.split.shared_articles": 1}), "shared_articles", 1),
    made.case("leak_without_ids", _CHECK, cases.run({"leak": 0.5, "gate.grouped": ""}), measured=0.5),
    made.case("not_a_number", _CHECK, cases.run({"leak": math.nan}), measured=math.nan),
)
