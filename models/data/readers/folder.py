"""A folder with vectors.npy [M, D] (memory-mapped), article.npy [M] and sequences.npz, or one vectors .npy alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError, nearest
from models.data.config import FOLDER_FILES
from models.data.mmap import map_array
from models.data.readers.archive import Archive
from models.data.readers.header import Header, read_header
from models.data.readers.kind import expect, folder_names, regular_file
from models.data.readers.loaded import Loaded, check_memory, check_shape, codes, narrow, scan_rows, whole_articles
from models.data.readers.starts import chosen_windows
from models.data.store import Corpus, FloatArray

VECTORS, ARTICLE, SEQUENCES = FOLDER_FILES


def read_folder(folder: Path, context: int, *, strict: bool = True) -> Loaded:
    """The folder's windows: those that sequences.npz lists, else every window inside an article."""
    names = folder_names(folder)
    if VECTORS not in names:
        held = ", ".join(names[:8]) or "nothing"
        raise InputError(folder, f"folder without {VECTORS}; it holds {held}", fix=nearest(VECTORS, names))
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
