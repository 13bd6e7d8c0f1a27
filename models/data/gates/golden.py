"""Golden vectors: a few texts with the vectors that the encoder once gave, kept to notice another build of it.

A folder with ``vectors.npy`` [K, D] and, where known, ``row.npy`` [K] (rows of the corpus they are copies of) and
texts; or one .npz with ``vectors``, ``row`` and ``texts`` (a unicode array).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from models.data.gates.beside import ENCODERS
from models.data.gates.rows import directed
from models.data.gates.texts import NAMES, read_texts
from models.data.readers.archive import Archive
from models.data.readers.folder import mapped_array, open_npy
from models.data.readers.kind import folder_names, is_folder
from models.data.readers.text import DIM, embed
from models.data.store import Corpus

MOST = 10_000  # golden vectors are a few; a corpus is not golden
ENCODED = 48  # texts that are encoded again: about two seconds on one core


@dataclass(frozen=True)
class Golden:
    """K stored vectors; rows of the corpus and texts where they are known."""

    path: Path
    vectors: NDArray[np.float32]
    rows: NDArray[np.int64] | None
    texts: tuple[str, ...] | None


def read_golden(path: Path) -> Golden:
    """The golden vectors at ``path``.

    Raises:
        InputError: missing or damaged, more than MOST, or arrays that do not agree in length.
    """
    golden = _from_folder(path) if is_folder(path) else _from_npz(path)
    count = len(golden.vectors)
    if not 1 <= count <= MOST:
        raise InputError(path, f"{count} golden vectors; expected 1 to {MOST}", key="vectors")
    if golden.texts is not None and len(golden.texts) != count:
        raise InputError(path, f"{len(golden.texts)} texts; expected {count}, one for each vector", key="texts")
    return golden


def golden_facts(golden: Golden, corpus: Corpus, encoder: str) -> dict[str, float | int | str]:
    """Least cosine of golden vectors with the rows they are copies of, and with their texts encoded again.

    Raises:
        InputError: another width, or a row that the corpus does not have.
    """
    if golden.vectors.shape[1] != corpus.dim:
        raise InputError(
            golden.path,
            f"vectors have {golden.vectors.shape[1]} dimensions; expected {corpus.dim}, as the corpus",
            key="vectors",
        )
    facts: dict[str, float | int | str] = {"rows": len(golden.vectors)}
    if golden.rows is not None:
        wrong = golden.rows[(golden.rows < 0) | (golden.rows >= len(corpus))]
        if len(wrong):
            raise InputError(golden.path, f"row {wrong[0]}; expected 0 to {len(corpus) - 1}", key="row")
        facts |= _agreement("stored", golden.vectors, corpus.vectors[golden.rows].astype(np.float32))
    if encoder and golden.texts is not None:
        chosen = slice(0, ENCODED)
        facts |= _agreement("encoded", golden.vectors[chosen], encode(encoder, golden.texts[chosen], corpus.dim))
    return facts


def encoded_facts(
    encoder: str, corpus: Corpus, texts: Mapping[int, str], offsets: Sequence[int]
) -> dict[str, float | int | str]:
    """Of at most ENCODED texts encoded again: cosine with their vectors, and share nearest to their own row.

    Args:
        texts: row to text.
        offsets: the rows that compete, 0 for the own one; all must exist.
    """
    rows = np.array(sorted(texts))
    rows = np.sort(np.random.default_rng(0).choice(rows, min(ENCODED, len(rows)), replace=False))
    again = encode(encoder, tuple(texts[int(row)] for row in rows), corpus.dim)
    cosines = np.array([np.einsum("nd,nd->n", again, directed(corpus.vectors[rows + k])[0]) for k in offsets])
    own = cosines[list(offsets).index(0)]
    best = np.fmax.reduce(cosines)  # a neighbour without direction does not compete
    return {"encoded_rows": len(rows), "encoded_mean": float(own.mean()), "encoded_own": float((own >= best).mean())}


def encode(encoder: str, texts: tuple[str, ...], dim: int) -> NDArray[np.float32]:
    """Unit vectors of the texts; InputError where the encoder is not installed or has another width."""
    from models.data.readers.text import installed_version

    if encoder not in ENCODERS:
        raise InputError("encoder", f"unknown encoder {encoder!r}", fix=f"Known: {', '.join(ENCODERS)}.")
    if dim != DIM:
        raise InputError("encoder", f"{encoder} gives {DIM} dimensions, the vectors have {dim}")
    installed_version()
    return embed(texts)


def _agreement(name: str, one: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, float | int | str]:
    """Count, mean and least cosine of rows; NaN where a row has no direction."""
    cosines = np.einsum("nd,nd->n", directed(one)[0], directed(other)[0])
    return {f"{name}_rows": len(cosines), f"{name}_mean": float(cosines.mean()), f"{name}_least": float(cosines.min())}


def _from_folder(folder: Path) -> Golden:
    names = folder_names(folder)
    header = open_npy(folder / "vectors.npy")
    header.require(folder, "vectors", "f", (None, None), "[K, D] floats")
    if header.shape[0] > MOST:
        raise InputError(folder, f"{header.shape[0]} golden vectors; expected at most {MOST}", key="vectors")
    vectors = np.asarray(mapped_array(folder / "vectors.npy", header), dtype=np.float32)
    rows = None
    if "row.npy" in names:
        header = open_npy(folder / "row.npy")
        header.require(folder, "row", "iu", (len(vectors),), f"[{len(vectors)}] integers, rows of the corpus")
        rows = np.asarray(mapped_array(folder / "row.npy", header), dtype=np.int64)
    texts = None
    if any(name in names for name in NAMES):
        found = read_texts(folder, range(MOST)).kept
        texts = tuple(found[number] for number in range(len(found)))
    return Golden(folder, vectors, rows, texts)


def _from_npz(path: Path) -> Golden:
    with Archive(path) as archive:
        key = archive.find(("vectors",), "golden vectors [K, D]")
        header = archive.header(key)
        header.require(path, key, "f", (None, None), "[K, D] floats")
        if header.shape[0] > MOST:
            raise InputError(path, f"{header.shape[0]} golden vectors; expected at most {MOST}", key=key)
        vectors = archive.load(key).astype(np.float32)
        rows = texts = None
        if "row" in archive.keys:
            archive.header("row").require(path, "row", "iu", (len(vectors),), f"[{len(vectors)}] integers")
            rows = archive.load("row").astype(np.int64)
        if "texts" in archive.keys:
            archive.header("texts").require(path, "texts", "U", (len(vectors),), f"[{len(vectors)}] strings (dtype <U)")
            texts = tuple(str(text) for text in archive.load("texts"))
    return Golden(path, vectors, rows, texts)
