"""A folder with vectors.npy [M, D] or several files of them (memory-mapped), article.npy [M] and sequences.npz, or one
vectors .npy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError, nearest
from models.data.config import FOLDER_FILES, SHARD
from models.data.mmap import map_array
from models.data.readers.archive import Archive
from models.data.readers.header import Header, read_header
from models.data.readers.kind import expect, folder_names, regular_file
from models.data.readers.loaded import Loaded, check_memory, check_shape, codes, narrow, scan_rows, whole_articles
from models.data.readers.starts import chosen_windows
from models.data.shards import Shards
from models.data.store import Corpus, FloatArray

VECTORS, ARTICLE, SEQUENCES = FOLDER_FILES
MOST = 900
"""Files of vectors: each is open while it is used, and a process may have 1,024."""


def read_folder(folder: Path, context: int, *, strict: bool = True) -> Loaded:
    """The folder's windows: those that sequences.npz lists, else every window inside an article."""
    names = folder_names(folder)
    shards = shard_names(folder, names)
    if VECTORS not in names and not shards:
        held = ", ".join(names[:8]) or "nothing"
        raise InputError(folder, f"folder without {VECTORS}; it holds {held}", fix=nearest(VECTORS, names))
    if shards:
        vectors, notes = read_shards([folder / name for name in shards], strict=strict)
    else:
        vectors, notes = read_vectors(folder / VECTORS, strict=strict)
    if ARTICLE not in names:
        return _without_articles(folder, vectors, context, notes)
    article = read_integers(folder / ARTICLE, len(vectors))
    corpus = Corpus(folder.name, vectors, codes(article))
    windows = whole_articles(corpus, context, folder)
    left = 0
    if SEQUENCES in names:
        with Archive(folder / SEQUENCES) as archive:
            windows, left, more = chosen_windows(archive, windows)
        notes += more
    return Loaded(windows, "article", notes=notes, left_article=left)


def read_single(path: Path, context: int, *, strict: bool = True) -> Loaded:
    """One .npy of vectors without article ids."""
    vectors, notes = read_vectors(path, strict=strict)
    return _without_articles(path, vectors, context, notes)


def read_vectors(path: Path, *, strict: bool = True) -> tuple[FloatArray, tuple[str, ...]]:
    """[M, D] vectors, memory-mapped in float16 and float32; float64 is loaded as float32."""
    header = open_npy(path)
    header.require(path, "vectors", "f", (None, None), "[M, D] float32 or float16")
    check_shape(path, "vectors", *header.shape)
    mapped = mapped_array(path, header)
    notes: tuple[str, ...] = ()
    if header.dtype == np.float64:
        check_memory(path, 4 * header.shape[0] * header.shape[1])
        notes = (f"{path.name}: float64 read as float32",)
        mapped = narrow(mapped)
    if strict:
        scan_rows(mapped, path, "vectors")
    return mapped, notes


def shard_names(folder: Path, names: Sequence[str]) -> list[str]:
    """The files of a folder that hold the vectors together, in order; empty where it has none.

    Raises:
        InputError: one is missing, or there is a whole one beside them.
    """
    found = sorted((match for match in map(SHARD.fullmatch, names) if match), key=lambda match: match[1])
    if not found:
        return []
    if len(found) > MOST:
        raise InputError(folder, f"{len(found)} files of vectors; expected at most {MOST}", fix="Join some of them.")
    promised = {match[2] for match in found}
    total = max(int(match[2] or 0) for match in found) or len(found)
    if VECTORS in names or len(promised) > 1:
        other = VECTORS if VECTORS in names else found[-1][0]
        raise InputError(folder, f"holds {found[0][0]} and {other}: expected one set of vectors")
    wrong = {*range(total)} ^ {int(match[1]) for match in found}
    if wrong:
        problem = f"{len(found)} files of vectors; expected numbers 00000 to {total - 1:05d}, not so {min(wrong):05d}"
        raise InputError(folder, problem, fix="Copy the missing file.")
    return [match[0] for match in found]


def read_shards(paths: Sequence[Path], *, strict: bool = True) -> tuple[FloatArray, tuple[str, ...]]:
    """[M, D] vectors that lie in several files, mapped; float16 or float32, all alike.

    Raises:
        InputError: one that cannot be used, or differs from the first.
    """
    headers = [open_npy(path) for path in paths]
    first = headers[0]
    for path, header in zip(paths, headers, strict=True):
        header.require(path, "vectors", "f", (None, first.shape[-1]), f"[M, {first.shape[-1]}] like {paths[0].name}")
        if header.dtype != first.dtype or header.dtype == np.float64:
            like = "float32 or float16" if header is first else f"{first.dtype}, as in {paths[0].name}"
            raise InputError(path, f"dtype {header.dtype}; expected {like}", key="vectors")
    check_shape(paths[0].parent, "vectors", sum(header.shape[0] for header in headers), first.shape[1])
    parts = []
    for path, header in zip(paths, headers, strict=True):
        if header.shape[0]:
            parts.append(mapped_array(path, header))
            if strict:
                scan_rows(parts[-1], path, "vectors")
    return cast(FloatArray, Shards(tuple(parts))), (f"vectors in {len(paths)} files",)


def mapped_array(path: Path, header: Header) -> NDArray[Any]:
    """The array of a checked header, mapped read-only."""
    assert header.dtype is not None
    return map_array(path, header.dtype, header.start, header.shape)


def read_integers(path: Path, rows: int) -> NDArray[np.integer]:
    """[M] integers, loaded."""
    header = open_npy(path)
    header.require(path, "article", "iu", (rows,), f"[{rows}] integers, one for each row of {VECTORS}")
    return np.asarray(mapped_array(path, header))


def open_npy(path: Path) -> Header:
    """The checked header of a .npy file: its size is what it promises."""
    size = regular_file(path)
    expect(path, "npy")
    with path.open("rb") as file:
        header = read_header(file, path, path.stem)
    header.require_size(path, path.stem, size)
    return header


def _without_articles(path: Path, vectors: FloatArray, context: int, notes: tuple[str, ...]) -> Loaded:
    corpus = Corpus(path.stem, vectors, np.zeros(len(vectors), dtype=np.int32))
    windows = whole_articles(corpus, context, path)
    return Loaded(windows, "", notes=(*notes, "no article ids: windows may cross from one article to the next"))
