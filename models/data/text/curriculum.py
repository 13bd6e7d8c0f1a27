"""Stages of a curriculum: which records each trains on, by data set, by measured difficulty and by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError, nearest
from models.data.text.batches import TokenBatch, TokenSet
from models.data.text.corpus import Corpus
from models.data.text.mix import largest_share, quotas
from models.data.text.split import first

Fact = float | int | str | list[str] | dict[str, int]


@dataclass(frozen=True)
class StageSpec:
    """What a stage asks for.

    Attributes:
        name, epochs: as the curriculum says. sets: data sets, None for all that are open.
        max_difficulty: keeps records of at most this measured difficulty. limit: records of each set at most.
    """

    name: str
    epochs: int
    sets: tuple[str, ...] | None = None
    max_difficulty: float | None = None
    limit: int | None = None


class StageData:
    """The training records of one stage, as batches (:class:`models.data.text.batches.TokenSet`).

    Attributes:
        name, notes: for reports. records: number of every set. fingerprint: sha256 (hex) of exactly these records.
    """

    def __init__(self, name: str, tokens: TokenSet, *, left_out: int, notes: Sequence[str] = ()) -> None:
        self.name = name
        self.tokens = tokens
        self.notes = tuple(notes)
        self.records = dict(tokens.corpus.counts)
        self._left_out = left_out

    @property
    def fingerprint(self) -> str:
        return self.tokens.corpus.fingerprint

    def count(self, batch_size: int) -> int:
        """Batches of an epoch, the same for every epoch."""
        return self.tokens.count(batch_size)

    def batches(self, batch_size: int, *, seed: int, epoch: int, first: int = 0) -> Iterator[TokenBatch]:
        """The batches of that epoch from batch ``first`` on: seed and epoch alone decide them."""
        return self.tokens.batches(batch_size, seed=seed, epoch=epoch, first=first)

    def facts(self) -> dict[str, Fact]:
        """Sizes, difficulty and the share of the largest set."""
        return dict(self._facts)

    @cached_property
    def _facts(self) -> dict[str, Fact]:
        corpus = self.tokens.corpus
        difficulty = [record.difficulty for record in corpus.records]
        rows = self.tokens.layout
        return {
            "records": len(corpus),
            "scored_tokens": corpus.scored,
            "rows": rows.rows,
            "filled": corpus.positions / (rows.rows * rows.width),
            "largest_set": max(self.records, key=lambda name: self.records[name]),
            "largest_set_share": largest_share(self.records),
            "difficulty_mean": float(np.mean(difficulty)),
            "difficulty_max": float(max(difficulty)),
            "left_out_by_mix": self._left_out,
        }


def build_stage(
    spec: StageSpec, train: Corpus, *, pad: int, length: int, packing: bool, max_share: float | None
) -> StageData:
    """The stage's records out of ``train``; ``max_share`` None keeps the natural mix.

    Raises:
        InputError: a set that is not open, or nothing left, whatever of the stage's conditions took it.
    """
    where = f"curriculum stage {spec.name!r}"
    for name in spec.sets or ():
        if name not in train.counts:
            raise InputError(where, f"no data set {name!r} is open", key="sets", fix=nearest(name, train.counts))
    wanted = tuple(train.counts) if spec.sets is None else spec.sets
    kept: dict[str, NDArray[np.int64]] = {}
    for name in wanted:
        rows = _matching(train, name, spec.max_difficulty)
        if not len(rows):
            least = min(record.difficulty for record in train.records if record.dataset == name)
            problem = f"no record of {name!r} has difficulty at most {spec.max_difficulty}; the least is {least:g}"
            raise InputError(where, problem, key="max_difficulty")
        kept[name] = _first(train, rows, spec.limit)
    if not kept:
        raise InputError(where, "names no data set", key="sets", fix=nearest("", train.counts))
    notes = []
    before = sum(map(len, kept.values()))
    if max_share is not None:
        quota = quotas({name: len(rows) for name, rows in kept.items()}, max_share)
        for name, rows in kept.items():
            if quota[name] < len(rows):
                notes.append(f"{name} cut from {len(rows)} to {quota[name]} records by the mix")
            kept[name] = _first(train, rows, quota[name])
    rows = np.sort(np.concatenate(list(kept.values())))
    chosen = TokenSet(train.select(rows), pad=pad, length=length, packing=packing)
    return StageData(spec.name, chosen, left_out=before - len(rows), notes=notes)


def same_as_before(stages: Sequence[StageData]) -> list[str]:
    """A sentence for every stage whose records are exactly those of the stage before."""
    return [
        f"stage {after.name!r} trains on exactly the records of stage {before.name!r}: it changes nothing"
        for before, after in pairwise(stages)
        if before.fingerprint == after.fingerprint
    ]


def _matching(train: Corpus, name: str, max_difficulty: float | None) -> NDArray[np.int64]:
    limit = float("inf") if max_difficulty is None else max_difficulty
    found = [r for r, record in enumerate(train.records) if record.dataset == name and record.difficulty <= limit]
    return np.array(found, dtype=np.int64)


def _first(train: Corpus, rows: NDArray[np.int64], count: int | None) -> NDArray[np.int64]:
    """At most ``count`` of the rows, by the rank of their records: a part of what a larger count would keep."""
    if count is None or count >= len(rows):
        return rows
    keep = {id(record) for record in first([train.records[row] for row in rows], count)}
    return np.array([row for row in rows if id(train.records[row]) in keep], dtype=np.int64)
