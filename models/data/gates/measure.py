"""All gate facts of a dataset, as plain JSON types under ``gate.<part>.<fact>``.

Parts are ``data`` (one corpus, of which train and validation are windows) or ``train`` and ``validation`` (two), and
``ood.<name>``; ``gate.parts`` lists them, so that a check knows when a part was not measured. What was not asked for
has no facts but the reason under ``gate.<gate>.skipped``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from lvmcheck.errors import InputError
from models.data.figures import Fact
from models.data.gates.beside import Beside
from models.data.gates.document import document_facts
from models.data.gates.golden import golden_facts, read_golden
from models.data.gates.groups import group_facts, window_facts
from models.data.gates.leaks import twin_facts
from models.data.gates.near import near_rows, pick_rows
from models.data.gates.order import order_facts, reference_facts
from models.data.gates.rows import Scan, directed, row_facts, scan
from models.data.gates.sketch import Floats, strong_directions
from models.data.gates.space import Shape, space_facts
from models.data.gates.words import text_facts
from models.data.mmap import take
from models.data.parts import Parts
from models.data.store import Corpus, Windows

SAMPLED = 2_000  # rows from which the directions of the sketches come


class Corpora:
    """The corpora of a dataset by part, each scanned once."""

    def __init__(self, train: Windows, parts: Parts) -> None:
        self.one = train.corpus is parts.validation.corpus
        self.named: dict[str, Corpus] = {"data" if self.one else "train": train.corpus}
        if not self.one:
            self.named["validation"] = parts.validation.corpus
        self.named |= {f"ood.{name}": windows.corpus for name, windows in parts.ood.items()}
        self._scans: dict[int, Scan] = {}

    @property
    def main(self) -> Corpus:
        """The corpus of the training windows."""
        return next(iter(self.named.values()))

    def scan(self, corpus: Corpus) -> Scan:
        """What the one pass over ``corpus`` found."""
        if id(corpus) not in self._scans:
            self._scans[id(corpus)] = scan(corpus, self._directions)
        return self._scans[id(corpus)]

    @cached_property
    def _directions(self) -> Floats:
        """Directions of all sketches: those in which the rows of training vary most."""
        rows = pick_rows(np.ones(len(self.main), dtype=bool), SAMPLED)
        unit = directed(take(self.main.vectors, rows))[0]
        return strong_directions(unit[np.isfinite(unit[:, 0])])

    def usable(self, windows: Windows) -> Windows:
        """The windows without a row that has no direction: one fault must not hide the other figures."""
        sound = self.scan(windows.corpus).sound
        return windows if sound.all() else windows.select(np.asarray(sound[windows.rows()].all(axis=1)))

    def windows(self, train: Windows, parts: Parts) -> dict[str, Windows]:
        """All windows over each corpus but the OOD ones, by part."""
        if not self.one:
            return {"train": train, "validation": parts.validation}
        if parts.whole is not None:
            return {"data": parts.whole}
        both = np.concatenate([train.rows(), parts.validation.rows()])
        return {"data": Windows(train.corpus, train.context, index=both)}


def gate_facts(train: Windows, parts: Parts, beside: Beside) -> dict[str, Fact]:
    """Facts of every gate on the training windows of one epoch, validation and the OOD sets.

    Raises:
        InputError: something of ``beside`` that cannot be read.
    """
    corpora = Corpora(train, parts)
    facts: dict[str, Fact] = {"gate.parts": list(corpora.named), "gate.grouped": parts.grouped}
    for part, corpus in corpora.named.items():
        facts |= _named(part, row_facts(corpus, corpora.scan(corpus)))
        facts |= _named(part, near_facts(corpus, corpora.scan(corpus)))
    for part, windows in corpora.windows(train, parts).items():
        facts |= _named(part, group_facts(windows))
        facts |= _named(part, window_facts(windows))
        facts |= _named(part, document_facts(windows))
    facts["gate.left_article"] = parts.left_article
    facts |= _named("split", split_facts(corpora, train, parts))
    used = {"train": corpora.usable(train), "validation": corpora.usable(parts.validation)}
    for part, windows in used.items():
        facts |= _named(part, order_facts(windows))
    facts |= other_facts(corpora, used["train"], parts)
    return facts | beside_facts(corpora, beside, train.context)


def near_facts(corpus: Corpus, found: Scan) -> dict[str, Fact]:
    """Share of sampled rows that have a near-duplicate anywhere in the corpus."""
    rows = pick_rows(found.sound)
    if not len(rows):
        return {}
    near = near_rows((corpus, found, rows), (corpus, found))
    return {"near_sampled": len(rows), "near_share": float(near.mean())}


def split_facts(corpora: Corpora, train: Windows, parts: Parts) -> dict[str, Fact]:
    """Articles on both sides of the split, and validation targets that have a twin among the rows of training."""
    validation = parts.validation
    facts: dict[str, Fact] = {"one_corpus": int(corpora.one), "by_row": int(corpora.one and train.starts is not None)}
    if corpora.one:
        both = np.intersect1d(np.unique(train.articles()), np.unique(validation.articles()))
        facts["shared_articles"] = len(both)
    scans = corpora.scan(train.corpus), corpora.scan(validation.corpus)
    return facts | twin_facts((train, scans[0]), (validation, scans[1]))


def other_facts(corpora: Corpora, train: Windows, parts: Parts) -> dict[str, Fact]:
    """Agreement of validation and every OOD set with the space of the training set."""
    if len(train) < 2:
        return {}
    home = Shape.of(train)
    variances, directions = home.principal()
    facts: dict[str, Fact] = {}
    for name, windows in [("validation", parts.validation), *((f"ood.{n}", w) for n, w in parts.ood.items())]:
        used = corpora.usable(windows)
        if len(used) > 1:
            facts |= _named(name, space_facts(home, variances, directions, Shape.of(used)))
    return facts


def beside_facts(corpora: Corpora, beside: Beside, context: int) -> dict[str, Fact]:
    """Comparison with a reference corpus, texts and golden vectors, as far as they are given."""
    corpus, facts = corpora.main, dict[str, Fact]()
    found = corpora.scan(corpus)
    if beside.reference:
        # Imported here because the door to files opens gates, too.
        from models.data.stored import read

        place = Path(beside.reference)
        reference = read(place, context, strict=False).windows.corpus
        if reference.dim != corpus.dim:
            problem = f"the reference has {reference.dim} dimensions; expected {corpus.dim}, as the corpus"
            raise InputError(place, problem)
        facts |= _named("reference", reference_facts(corpus, found, reference, scan(reference)))
    if beside.texts:
        facts |= _named("texts", text_facts(corpus, found, Path(beside.texts), beside.encoder))
    if beside.golden:
        facts |= _named("golden", golden_facts(read_golden(Path(beside.golden)), corpus, beside.encoder))
    return facts


def _named(part: str, facts: Mapping[str, Fact]) -> dict[str, Fact]:
    return {f"gate.{part}.{name}": value for name, value in facts.items()}
