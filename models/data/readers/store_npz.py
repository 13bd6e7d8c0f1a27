"""This project's own .npz: ``vectors`` [M, D], ``article`` [M] and, where not all windows are wanted, ``starts``."""

from __future__ import annotations

import numpy as np

from models.data.readers.archive import Archive
from models.data.readers.loaded import Loaded, check_memory, check_shape, codes, narrow, scan_rows, whole_articles
from models.data.readers.starts import chosen_windows
from models.data.store import Corpus, empty

BLOCK = 4096


def read_store(archive: Archive, context: int, *, strict: bool = True) -> Loaded:
    """The windows over the stored vectors; vectors are loaded as float32, or float16 where they are stored so."""
    path = archive.path
    header = archive.header("vectors")
    header.require(path, "vectors", "f", (None, None), "[M, D] floats")
    rows, dim = header.shape
    check_shape(path, "vectors", rows, dim)
    half = header.dtype == np.float16
    check_memory(path, (2 if half else 4) * rows * dim, "vectors")
    vectors = empty(rows, dim, half=half)
    at = 0
    for block in archive.blocks("vectors", BLOCK):
        vectors[at : at + len(block)] = narrow(block, np.float16 if half else np.float32)
        at += len(block)
    if strict:
        scan_rows(vectors, path, "vectors")
    key = archive.find(("article",), "the article of each row; without it windows would cross articles")
    archive.header(key).require(path, key, "iu", (rows,), f"[{rows}] integers, one for each row of vectors")
    corpus = Corpus(path.stem, vectors, codes(archive.load(key)))
    windows = whole_articles(corpus, context, path)
    notes: tuple[str, ...] = ("vectors: float64 read as float32",) if header.dtype == np.float64 else ()
    left = 0
    if "starts" in archive.keys or "start" in archive.keys:
        windows, left, more = chosen_windows(archive, windows)
        notes += more
    return Loaded(windows, "article", notes=notes, left_article=left)
