"""texts_aligned: row i of the texts is what vector i was made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import Facts, Gate
from lvmcheck.checks.finding import Outcome, not_applicable
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import Comparison, at_least, at_most, settle
from lvmcheck.checks.shared.epochs import check_number


@dataclass(frozen=True, kw_only=True)
class TextsAligned(Gate):
    """There are as many texts as vectors, and they belong together row by row.

    Without an encoder: over at most 4,000 pairs of chunks of one article, drawn at random, the similarity of their
    words (weighted by rarity) is correlated with the cosine of their vectors; in each eighth of the file this
    correlation is at least `min_margin` above the best one with the texts moved by 1 to 3 rows. At least `min_equal`
    of the pairs of equal texts have equal vectors (cosine above 0.999). With an encoder (`data.encoder`, `--encoder`):
    of 48 texts encoded again, at least `min_own` are nearer to their own vector than to those of the 3 rows before and
    after. Where there is too little text for any of these, the check is not applicable. A slip of less than about a
    tenth of the file may be missed.

    Why:
    Texts show what a retrieval returned and are what a decoder is judged on. The ancestors' exporter took the texts by
    position and the vectors by filtered index, so that after every excluded article they were apart.

    Usual causes:
    - Rows were filtered in one of the two files only.
    - One of them was sorted or shuffled again.
    - Headings or blank lines count as rows in one of them.

    Fix:
    Write text and vector of a row together, and filter them together.

    Healthy runs that must pass:
    Texts that are not letter by letter what was encoded (WikiText with its <unk> marks: mean cosine .97, all nearest
    to their own vector); prose with repeated sentences; languages and tokenisations where words carry less (the
    margin shrinks: lower it).

    Source:
    The ancestors' create_training_sequences_with_articles; margins measured on WikiText, enwiki and pydoc.
    """

    optional: ClassVar[str] = "texts"

    min_margin: float = 0.1
    min_equal: float = 0.95
    min_own: float = 0.95

    def __post_init__(self) -> None:
        check_number("min_margin", self.min_margin, 0, 2)
        check_number("min_equal", self.min_equal, 0, 1)
        check_number("min_own", self.min_own, 0, 1)

    def gate(self, facts: Facts) -> Outcome:
        texts, vectors = facts.number("gate.texts.rows"), facts.number("gate.texts.vectors")
        counts = [f"{figure(texts)} texts, {figure(vectors)} vectors"]
        if texts != vectors:
            return settle([at_most("texts too many or too few", abs(texts - vectors), 0, counts)])
        found = [*self._encoded(facts), *self._words(facts, counts), *self._equal(facts, counts)]
        if not found:
            return not_applicable(
                "texts and vectors are equally many, and nothing else can be said: no encoder was named, no text "
                "occurs twice, and there are too few pairs of chunks of one article to compare words"
            )
        return settle(found)

    def _encoded(self, facts: Facts) -> list[Comparison]:
        if not facts.has("gate.texts.encoded_rows"):
            return []
        shown = f"{figure(facts.number('gate.texts.encoded_rows'))} texts encoded again, mean cosine "
        shown += figure(facts.number("gate.texts.encoded_mean"))
        own = facts.number("gate.texts.encoded_own")
        return [
            at_least("share of texts that, encoded again, are nearest to their own vector", own, self.min_own, [shown])
        ]

    def _words(self, facts: Facts, counts: Sequence[str]) -> list[Comparison]:
        if not facts.has("gate.texts.pairs"):
            return []
        margins = facts.numbers("gate.texts.margins")
        worst = math.nan if any(map(math.isnan, margins)) else min(margins)
        shown = [
            f"correlation of words and cosines {figure(facts.number('gate.texts.correlation'))}, with the texts moved "
            f"{figure(facts.number('gate.texts.moved'))}, over {figure(facts.number('gate.texts.pairs'))} pairs",
            f"margins by eighth of the file: {' '.join(figure(margin) for margin in margins)}",
            *counts,
        ]
        return [at_least("least margin of the texts in place over moved texts", worst, self.min_margin, shown)]

    def _equal(self, facts: Facts, counts: Sequence[str]) -> list[Comparison]:
        if not facts.has("gate.texts.equal_pairs"):
            return []
        shown = f"{figure(facts.number('gate.texts.equal_pairs'))} pairs of equal texts"
        agree = facts.number("gate.texts.equal_agree")
        return [at_least("share of equal texts with equal vectors", agree, self.min_equal, [shown, *counts])]


_NO_WORDS: dict[str, None] = {f"gate.texts.{key}": None for key in ("pairs", "correlation", "moved", "margins")}
_CHECK = TextsAligned()
PASSES: Sequence[Case] = (
    made.case("wikitext", _CHECK, cases.run()),
    made.case("equal_texts_alone", _CHECK, cases.run(_NO_WORDS), ("equal texts",)),
)
FAILS: Sequence[Case] = (
    made.case("one_too_few", _CHECK, cases.run({"gate.texts.rows": 43_386}), ("43,386 texts",)),
    made.case(
        "slipped_from_the_middle_on",
        _CHECK,
        cases.run({"gate.texts.margins": [0.5, 0.34, 0.41, 0.45, -0.36, -0.44, -0.45, -0.38]}),
        ("-0.45",),
    ),
    made.case("equal_texts_differ", _CHECK, cases.run({"gate.texts.equal_agree": 0.1}), ("15 pairs",)),
    made.case(
        "encoded_again",
        _CHECK,
        cases.run(
            {
                "gate.texts.encoded_rows": 48,
                "gate.texts.encoded_mean": 0.41,
                "gate.texts.encoded_own": 0.15,
            }
        ),
        ("48 texts encoded again",),
    ),
    made.case("not_a_number", _CHECK, cases.run({"gate.texts.margins": [0.4, math.nan]}), ("NaN",)),
)
