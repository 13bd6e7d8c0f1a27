"""texts_aligned: row i of the texts is what vector i was made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.data import _gate_cases as cases
from lvmcheck.checks.data._gate import DataFacts, Gate
from lvmcheck.checks.finding import Fact, Finding, Outcome, facts, not_applicable
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.compare import at_least, at_most, settle
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
    Texts show what a retrieval returned and are what a decoder is judged on. An exporter of the original project took
    texts by position and vectors by filtered index, so that they no longer matched after an excluded article.

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
    docs/history.md: an export of texts and vectors; margins measured on WikiText, enwiki and pydoc.
    """

    optional: ClassVar[str] = "texts"

    min_margin: float = 0.1
    min_equal: float = 0.95
    min_own: float = 0.95

    def __post_init__(self) -> None:
        check_number("min_margin", self.min_margin, 0, 2)
        check_number("min_equal", self.min_equal, 0, 1)
        check_number("min_own", self.min_own, 0, 1)

    def gate(self, data: DataFacts) -> Outcome:
        texts, vectors = data.number("gate.texts.rows"), data.number("gate.texts.vectors")
        counts = facts(texts=texts, vectors=vectors)
        if texts != vectors:
            words = "{texts} texts for {vectors} vectors"
            return settle([at_most("row_count", abs(texts - vectors), 0, evidence=counts, phrase=words)])
        found = [*self._encoded(data), *self._words(data, counts), *self._equal(data, counts)]
        if not found:
            return not_applicable(
                "texts and vectors are equally many, and nothing else can be compared: no encoder was named, no text "
                "occurs twice, and there are too few pairs of chunks of one article to compare words"
            )
        return settle(found)

    def _encoded(self, data: DataFacts) -> list[Finding]:
        if not data.has("gate.texts.encoded_rows"):
            return []
        rows, mean, own = (data.number(f"gate.texts.encoded_{name}") for name in ("rows", "mean", "own"))
        return [
            at_least(
                "encoded",
                own,
                self.min_own,
                evidence=facts(encoded=rows, mean_cosine=mean),
                phrase="share of {encoded} texts encoded again that are nearest to their own vector {measured}",
            )
        ]

    def _words(self, data: DataFacts, counts: tuple[Fact, ...]) -> list[Finding]:
        if not data.has("gate.texts.pairs"):
            return []
        margins = data.numbers("gate.texts.margins")
        worst = math.nan if any(map(math.isnan, margins)) else min(margins)
        names = ("correlation", "moved", "pairs")
        shown = facts({name: data.number(f"gate.texts.{name}") for name in names})
        eighth = facts(eighth=margins.index(worst) + 1) if worst in margins else ()
        return [
            at_least(
                "words",
                worst,
                self.min_margin,
                evidence=(*shown, *eighth, *counts),
                phrase="lowest margin of the correlation of words and vectors over moved texts {measured}",
            )
        ]

    def _equal(self, data: DataFacts, counts: tuple[Fact, ...]) -> list[Finding]:
        if not data.has("gate.texts.equal_pairs"):
            return []
        pairs, agree = data.number("gate.texts.equal_pairs"), data.number("gate.texts.equal_agree")
        return [
            at_least(
                "equal_texts",
                agree,
                self.min_equal,
                evidence=(*facts(pairs=pairs), *counts),
                phrase="share of {pairs} pairs of equal texts with equal vectors {measured}",
            )
        ]


_NO_WORDS: dict[str, None] = {f"gate.texts.{key}": None for key in ("pairs", "correlation", "moved", "margins")}
_case = made.Cases(TextsAligned())
PASSES = (
    _case("wikitext", cases.run()),
    _case("equal_texts_alone", cases.run(_NO_WORDS), "equal_texts"),
)
FAILS = (
    _case("one_too_few", cases.run({"gate.texts.rows": 43_386}), "row_count", 1, texts=43_386),
    _case(
        "slipped_from_the_middle_on",
        cases.run({"gate.texts.margins": [0.5, 0.34, 0.41, 0.45, -0.36, -0.44, -0.45, -0.38]}),
        "words",
        -0.45,
        eighth=7,
    ),
    _case("equal_texts_differ", cases.run({"gate.texts.equal_agree": 0.1}), "equal_texts", pairs=15),
    _case(
        "encoded_again",
        cases.run({"gate.texts.encoded_rows": 48, "gate.texts.encoded_mean": 0.41, "gate.texts.encoded_own": 0.15}),
        "encoded",
        0.15,
        encoded=48,
    ),
    _case("not_a_number", cases.run({"gate.texts.margins": [0.4, math.nan]}), measured=math.nan),
)
