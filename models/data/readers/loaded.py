"""What every reader returns, and the checks that every reader's vectors go through."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from models.data.mmap import blocks
from models.data.store import NO_ARTICLE, Corpus, FloatArray, Rows, Windows

NORM_TOLERANCE = 1e-2
DIM_LIMIT = 16_384
ROW_LIMIT = 100_000_000
BLOCK = 8192
SPARE = 256 * 2**20  # memory left to the rest of the program when a corpus is loaded


@dataclass(frozen=True)
class Loaded:
    """Windows read from one place.

    Attributes:
        windows: all of them, or the training ones where the file brings its own validation set.
        validation: the file's own validation windows.
        grouped: what ``corpus.article`` means: "article", "shared_chunks" (windows with a chunk in common have the
            same number) or "" (nothing is known).
        left_article: windows that the file lists although they leave their article; they are not among ``windows``.
    """

    windows: Windows
    grouped: str
    validation: Windows | None = None
    notes: tuple[str, ...] = ()
    left_article: int = 0


@dataclass
class Scan:
    """Running check of vector blocks: non-finite values, zero vectors and lengths off 1, with the first place of each.

    ``axes`` names the indices of a vector in the file, e.g. ("row",) or ("row", "ctx"). One that is not ``strict``
    lets faulty vectors through: gates measure them instead.
    """

    where: Path
    key: str
    axes: tuple[str, ...] = ("row",)
    strict: bool = True
    vectors: int = 0
    nonfinite: int = 0
    zero: int = 0
    off: int = 0
    norm_sum: float = 0.0
    norm_low: float = float("inf")
    norm_high: float = 0.0
    first: dict[str, str] = field(default_factory=dict)

    def add(self, block: NDArray[np.floating], at: int) -> None:
        """Look at ``block`` [n, ..., D], whose first row is row ``at`` of the file."""
        if not self.strict:
            return
        wide = narrow(block)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("...d,...d->...", wide, wide, dtype=np.float64)
        finite = np.isfinite(squares)
        if not finite.all():
            bad = ~np.isfinite(wide)
            self.nonfinite += int(bad.sum())
            self._note("nonfinite", bad, at)
        norms = np.sqrt(squares[finite])
        zero = squares == 0
        off = finite & ~zero & (np.abs(np.sqrt(np.where(finite, squares, 1.0)) - 1.0) > NORM_TOLERANCE)
        self._note("zero", zero, at)
        self._note("off", off, at)
        self.vectors += squares.size
        self.zero += int(zero.sum())
        self.off += int(off.sum())
        self.norm_sum += float(norms.sum())
        if norms.size:
            self.norm_low, self.norm_high = min(self.norm_low, norms.min()), max(self.norm_high, norms.max())

    def _note(self, kind: str, mask: NDArray[np.bool_], at: int) -> None:
        if kind not in self.first and mask.any():
            place = list(np.unravel_index(int(mask.argmax()), mask.shape))
            place[0] += at
            names = (*self.axes, "dim")[: len(place)]
            self.first[kind] = (
                "[" + ", ".join(f"{name} {value}" for name, value in zip(names, place, strict=True)) + "]"
            )

    def verdict(self) -> None:
        """Raise the InputError of the worst fault found."""
        if self.nonfinite:
            raise self._error(
                f"{self.nonfinite} NaN or infinite values, first at {self.first['nonfinite']}; expected finite vectors",
                "Encode those rows again, or leave them out.",
            )
        if self.zero:
            raise self._error(
                f"{self.zero} of {self.vectors} vectors are zero, first at {self.first['zero']}; expected unit vectors",
                "A zero vector is usually a failed encode: leave those windows out.",
            )
        if self.off:
            raise self._error(
                f"{self.off} of {self.vectors} vectors are off unit length by more than {NORM_TOLERANCE}, first at "
                f"{self.first['off']}; lengths run from {self.norm_low:.4g} to {self.norm_high:.4g} with mean "
                f"{self.norm_sum / self.vectors:.4g}",
                "Divide each vector by its length before saving.",
            )

    def _error(self, problem: str, fix: str) -> InputError:
        return InputError(self.where, problem, key=self.key, fix=fix)


def narrow(values: NDArray[np.generic], kind: type[np.floating] = np.float32) -> NDArray[Any]:
    """``values`` as ``kind``; a number too large for it becomes infinite, which the scan then reports."""
    with np.errstate(over="ignore"):
        return values.astype(kind, copy=False)


def scan_rows(vectors: FloatArray, where: Path, key: str) -> None:
    """Check a whole [M, D] array in blocks; raises the InputError of :meth:`Scan.verdict`."""
    scan = Scan(where, key)
    for start, block in blocks(vectors, BLOCK):
        scan.add(block, start)
    scan.verdict()


def check_shape(where: Path, key: str, rows: int, dim: int) -> None:
    """Refuse sizes no corpus of sentence vectors has, before anything is allocated for them."""
    if rows < 1:
        raise InputError(where, "holds no rows; expected at least one vector", key=key)
    if not 2 <= dim <= DIM_LIMIT or rows > ROW_LIMIT:
        problem = f"{rows} x {dim} values; expected at most {ROW_LIMIT} rows of 2 to {DIM_LIMIT} dimensions"
        raise InputError(where, problem, key=key)


def check_memory(where: Path, need: int, key: str | None = None) -> None:
    """Refuse what does not fit, with both figures, before allocating it."""
    free = available_memory()
    if need + SPARE > free:
        raise InputError(
            where,
            f"needs {need / 2**30:.1f} GiB of memory for its vectors, {free / 2**30:.1f} GiB are available",
            key=key,
            fix="Save them as a folder with vectors.npy in float16: it is memory-mapped and never loaded whole.",
        )


def available_memory() -> int:
    """Bytes that can be taken now: /proc/meminfo where there is one, else the machine's physical memory."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


NULL_NAMES = ("", "null", "none", "nan", "n/a", "unknown")
"""What exporters write for a missing article id, in any case."""


def codes(ids: NDArray[np.generic] | list[str]) -> Rows:
    """Article ids of any kind as numbers 0, 1, 2, ... in sorted order of the ids, ``NO_ARTICLE`` for none: [M] int32.

    No article is a negative number, the largest number of an integer type, or one of ``NULL_NAMES``.
    """
    values = np.asarray(ids)
    known = ~no_article(values)
    found = np.full(len(values), NO_ARTICLE, dtype=np.int32)
    found[known] = np.unique(values[known], return_inverse=True)[1].reshape(-1)
    return found


def no_article(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which ids stand for a missing one, [M]."""
    if values.dtype.kind in "iu":
        missing: NDArray[np.bool_] = values == np.iinfo(values.dtype).max
        return missing | (values < 0) if values.dtype.kind == "i" else missing
    return np.isin(np.char.lower(np.char.strip(values.astype(str))), NULL_NAMES)


TORN = 20
"""Of the windows that articles allow, fewer than one in this many: their rows lie apart."""


def whole_articles(corpus: Corpus, context: int, where: Path) -> Windows:
    """Every window inside an article; an InputError says how long the articles are where there is none."""
    windows = corpus.windows(context)
    _, sizes = np.unique(corpus.article[corpus.article != NO_ARTICLE], return_counts=True)
    if TORN * len(windows) < int(np.maximum(sizes - context, 0).sum()):
        raise InputError(
            where,
            f"rows are not in document order: {len(sizes)} articles lie in {len(corpus.runs()[0])} pieces, with "
            f"{len(windows)} windows of {context + 1} rows; expected the rows of an article one after the other",
            key="article",
            fix="Sort by article and by the position of each chunk in it.",
        )
    if not len(windows):
        longest = int(corpus.runs()[1].max(initial=0))
        raise InputError(
            where,
            f"no article is long enough: the longest has {longest} chunk{'s' if longest != 1 else ''}, "
            f"context {context} and its target need {context + 1}",
            fix=f"Set data.context to at most {longest - 1}."
            if longest > 1
            else "An article of one chunk has nothing to predict: keep the chunks of an article under one id.",
        )
    return windows
