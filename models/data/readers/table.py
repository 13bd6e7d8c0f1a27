"""Rows of (vector, article) that arrive in blocks, gathered into a corpus in the order in which they come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from models.data.readers.loaded import Loaded, Scan, check_memory, check_shape, codes, whole_articles
from models.data.store import NO_ARTICLE, Corpus


class Table:
    """Gathers blocks of one width; checks every vector as it comes and the memory before each block is kept."""

    def __init__(self, path: Path, *, strict: bool = True) -> None:
        self.path = path
        self._scan = Scan(path, "vector", strict=strict)
        self._blocks: list[NDArray[np.float32]] = []
        self._articles: list[int | str | None] = []
        self.dim = 0

    def __len__(self) -> int:
        return len(self._articles)

    def add(self, vectors: NDArray[np.float32], articles: Sequence[int | str | None]) -> None:
        """Keep a block [n, D] with its article ids, None for none; raises InputError where the width changes."""
        self.dim = self.dim or vectors.shape[1]
        if vectors.shape[1] != self.dim:
            problem = f"{vectors.shape[1]} dimensions at row {len(self)}; expected {self.dim}, as in row 0"
            raise InputError(self.path, problem, key="vector")
        check_shape(self.path, "vector", len(self) + len(vectors), self.dim)
        # The final concatenation holds every row twice for a moment.
        check_memory(self.path, 4 * (len(self) + 2 * len(vectors)) * self.dim, "vector")
        self._scan.add(vectors, len(self))
        self._blocks.append(vectors)
        self._articles += articles

    def finish(self, context: int) -> Loaded:
        """The windows inside articles; ids must be all integers or all strings, and rows without one form a group."""
        if not self._blocks:
            raise InputError(self.path, "holds no rows; expected at least one vector", key="vector")
        self._scan.verdict()
        known = [value for value in self._articles if value is not None]
        kinds = {type(value).__name__ for value in known}
        if len(kinds) > 1:
            raise InputError(self.path, f"article ids of types {', '.join(sorted(kinds))}; expected one", key="article")
        article = np.full(len(self), NO_ARTICLE, dtype=np.int32)
        article[[value is not None for value in self._articles]] = codes(np.asarray(known))
        corpus = Corpus(self.path.stem, np.concatenate(self._blocks), article)
        return Loaded(whole_articles(corpus, context, self.path), "article" if known else "")
