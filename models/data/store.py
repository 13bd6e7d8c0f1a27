"""Chunk vectors once, windows over them as row numbers: never a materialised [N, T+1, D]."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.data.mmap import Held, held_by, take

FloatArray = NDArray[np.float32] | NDArray[np.float16]
"""What a corpus may be stored in; batches always come out in float32."""
Rows = NDArray[np.int32]
NO_ARTICLE = -1
"""Article of a row whose source has no id for it; such rows count as one article where windows are made."""


@dataclass(frozen=True)
class Corpus:
    """Sentence vectors in reading order.

    Attributes:
        name: what the corpus is called in reports.
        vectors: [M, D] float32 or float16, in memory or memory-mapped; unit rows.
        article: [M] int32; the rows of one article are one contiguous run; ``NO_ARTICLE`` where there is no id.
    """

    name: str
    vectors: FloatArray
    article: Rows

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.vectors.dtype not in (np.float32, np.float16):
            raise TypeError(f"vectors must be [M, D] float32 or float16, got {self.vectors.shape} {self.vectors.dtype}")
        if self.article.shape != self.vectors.shape[:1]:
            raise TypeError(f"article must be [{len(self.vectors)}], got {self.article.shape}")

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @cached_property
    def mapped(self) -> Held | None:
        """Where the vectors lie in a file; None where they are in memory."""
        return held_by(self.vectors)

    def runs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First row and length of every article, in row order: two arrays [articles]."""
        edges = np.flatnonzero(np.diff(self.article)) + 1
        first = np.concatenate([[0], edges]) if len(self) else np.empty(0, dtype=np.int64)
        return first.astype(np.int64), np.diff(np.append(first, len(self))).astype(np.int64)

    def windows(self, context: int) -> Windows:
        """Every window of ``context`` consecutive chunks and the next one that stays inside one article."""
        first, length = self.runs()
        return Windows(self, context, starts=run_starts(first, length - context))


def empty(rows: int, dim: int, *, half: bool) -> FloatArray:
    """An uninitialised [rows, dim] store, float16 where ``half``, else float32."""
    return np.empty((rows, dim), dtype=np.float16) if half else np.empty((rows, dim), dtype=np.float32)


def run_starts(first: NDArray[np.int64], count: NDArray[np.int64]) -> Rows:
    """Concatenation of ``arange(first[i], first[i] + count[i])`` for every i with a positive count: [N] int32."""
    keep = count > 0
    first, count = first[keep], count[keep]
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    starts: Rows = (np.arange(total) + np.repeat(first - (ends - count), count)).astype(np.int32)
    return starts


@dataclass(frozen=True)
class Windows:
    """N items over a corpus: ``context`` consecutive chunks of one article and the chunk after them.

    Exactly one of ``starts`` [N] (the rows are consecutive) and ``index`` [N, T+1] (any rows) is given.
    """

    corpus: Corpus
    context: int
    starts: Rows | None = None
    index: Rows | None = None
    _steps: Rows = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.starts is None) == (self.index is None):
            raise TypeError("give exactly one of starts and index")
        places = self.starts if self.starts is not None else self.index
        assert places is not None
        last = self.context if self.starts is not None else 0
        if places.size and (int(places.min()) < 0 or int(places.max()) + last >= len(self.corpus)):
            raise IndexError(f"window rows run past the {len(self.corpus)} rows of {self.corpus.name}")
        if self.index is not None and self.index.shape[1:] != (self.context + 1,):
            raise TypeError(f"index must be [N, {self.context + 1}], got {self.index.shape}")
        object.__setattr__(self, "_steps", np.arange(self.context + 1, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.starts) if self.starts is not None else len(self._index())

    @property
    def dim(self) -> int:
        """Width of a chunk vector."""
        return self.corpus.dim

    def _index(self) -> Rows:
        assert self.index is not None
        return self.index

    def rows(self, idx: NDArray[np.integer] | slice | None = None) -> Rows:
        """Corpus rows of the chosen windows, [B, T+1]; the last column is the target."""
        chosen = slice(None) if idx is None else idx
        if self.starts is not None:
            return self.starts[chosen, None] + self._steps
        return self._index()[chosen]

    def select(self, chosen: NDArray[np.bool_] | NDArray[np.integer]) -> Windows:
        """The same windows restricted by a mask [N] or indices [B]; no vector is copied."""
        if self.starts is not None:
            return replace(self, starts=self.starts[chosen])
        return replace(self, index=self._index()[chosen])

    def articles(self) -> Rows:
        """Article of every window's target, [N]."""
        return self.corpus.article[self.rows()[:, -1]] if len(self) else np.empty(0, dtype=np.int32)

    def batch(
        self, idx: NDArray[np.integer] | slice, *, out: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Context [B, T, D] and target [B, D] in float32: views of one block.

        Args:
            idx: which windows, [B].
            out: a reusable C-contiguous float32 block of at least [B, T+1, D]; the views then live in it.

        A float16 corpus is scaled back to unit length, because the rounding moves norms by up to 3e-4; zero and
        non-finite rows stay what they are.

        Raises:
            InputError: as :meth:`models.data.mmap.MappedRows.read`.
        """
        rows = self.rows(idx)
        shape = (*rows.shape, self.dim)
        block: NDArray[np.float32] = np.empty(shape, dtype=np.float32) if out is None else out[: len(rows)]
        if block.shape != shape or block.dtype != np.float32:
            raise ValueError(f"out must hold at least {shape} float32, got {block.shape} {block.dtype}")
        if self.corpus.vectors.dtype != np.float32:
            block[...] = take(self.corpus.vectors, rows)
            norms = np.sqrt(np.einsum("btd,btd->bt", block, block))
            block /= np.where(norms > 0, norms, 1.0)[..., None]
        elif self.corpus.mapped is not None:
            self.corpus.mapped.read(rows, block)
        elif hasattr(self.corpus.vectors, "parts"):  # in several files that cannot be read but through their maps
            block[...] = self.corpus.vectors[rows]
        else:
            # mode="clip" lets numpy write straight into the block; the rows were checked when the windows were made.
            np.take(self.corpus.vectors, rows, axis=0, out=block, mode="clip")
        return block[:, :-1], block[:, -1]
