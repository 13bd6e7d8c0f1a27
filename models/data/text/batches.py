"""Token batches: labels shifted once, padding never scored, no target across a boundary, order from seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from models.data.store import run_starts
from models.data.text.corpus import Corpus
from models.data.text.packing import Ints, Layout, buckets, fill, pack

IGNORED = -100


@dataclass(frozen=True)
class TokenBatch:
    """One batch.

    Attributes:
        tokens: [B, T] int64, padded with the tokenizer's ``pad``.
        targets: [B, T] int64: the token that follows inside the same record, its ``end`` at last; -100 is not scored.
        segments: [B, T] int64: 1, 2, ... for the records of a row, 0 for padding.
        scored: number of targets that are not -100.
    """

    tokens: Tensor
    targets: Tensor
    segments: Tensor
    scored: int

    def to(self, device: torch.device) -> TokenBatch:
        """The same batch on ``device``."""
        tokens, targets, segments = (
            part.to(device, non_blocking=True) for part in (self.tokens, self.targets, self.segments)
        )
        return TokenBatch(tokens, targets, segments, self.scored)


class TokenSet:
    """The records of one corpus as batches; it has no state, so any batch of any epoch can be made at any time.

    Args:
        corpus: records of 1 to ``length`` positions each.
        pad: token number of padding. length: positions T of a packed row.
        packing: several records a row; else one a row, as wide as the longest of its batch.
    """

    def __init__(self, corpus: Corpus, *, pad: int, length: int, packing: bool) -> None:
        self.corpus = corpus
        self.pad = pad
        self.length = length
        self.packing = packing

    @cached_property
    def layout(self) -> Layout:
        lengths = self.corpus.lengths
        return pack(lengths, self.length) if self.packing else buckets(lengths)

    def count(self, batch_size: int) -> int:
        """Batches of an epoch, the same for every epoch; a short one counts and is kept."""
        return -(-self.layout.rows // batch_size)

    def batches(self, batch_size: int, *, seed: int, epoch: int, first: int = 0) -> Iterator[TokenBatch]:
        """The batches of that epoch from batch ``first`` on."""
        rng = np.random.Generator(np.random.PCG64([seed, epoch]))
        filled = fill(self.layout, self.corpus.lengths, rng)
        rows = np.arange(self.layout.rows)
        if self.packing:
            chunks = _chunks(rng.permutation(rows), batch_size)
        else:  # neighbours are of like length and stay together
            parts = _chunks(rows, batch_size)
            chunks = [parts[place] for place in rng.permutation(len(parts))]
        for chosen in chunks[first:]:
            yield self._gather(chosen, filled)

    def in_order(self, batch_size: int) -> Iterator[TokenBatch]:
        """All records once, always in the same batches."""
        filled = fill(self.layout, self.corpus.lengths, None)
        for chosen in _chunks(np.arange(self.layout.rows), batch_size):
            yield self._gather(chosen, filled)

    def _gather(self, rows: Ints, filled: Ints) -> TokenBatch:
        """The rows as one batch; ``filled`` [S] says which record each slot holds."""
        layout, corpus = self.layout, self.corpus
        slots_of_row = layout.row_first[rows + 1] - layout.row_first[rows]
        slots = run_starts(layout.row_first[rows], slots_of_row)
        lengths = layout.length[slots]
        skipped = corpus.unscored[filled[slots]].astype(np.int64)
        width = self.length if self.packing else int(lengths.max(initial=0))
        source = run_starts(corpus.first[filled[slots]], lengths)
        row_of_slot = np.repeat(np.arange(len(rows)), slots_of_row)
        place = run_starts(row_of_slot * width + layout.column[slots], lengths)
        tokens = np.full(len(rows) * width, self.pad, dtype=np.int64)
        targets = np.full(len(rows) * width, IGNORED, dtype=np.int64)
        segments = np.zeros(len(rows) * width, dtype=np.int64)
        tokens[place] = corpus.tokens[source]
        targets[place] = corpus.tokens[source + 1]
        if skipped.any():
            targets[run_starts(row_of_slot * width + layout.column[slots], skipped)] = IGNORED
        segments[place] = np.repeat(slots - np.repeat(layout.row_first[rows], slots_of_row) + 1, lengths)
        first, second, third = (
            torch.from_numpy(part.reshape(len(rows), width)) for part in (tokens, targets, segments)
        )
        return TokenBatch(first, second, third, len(place) - int(skipped.sum()))


def _chunks(rows: Ints, size: int) -> list[Ints]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
