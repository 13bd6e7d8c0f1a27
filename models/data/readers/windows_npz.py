"""Ready-made windows in a .npz (the original project's four formats) as a store: every distinct vector once, windows
as rows.

1. ``context_sequences`` [N, T, D] and ``target_vectors`` [N, D] with texts, positions and pickled metadata;
2. the same with ``val_context_sequences`` and ``val_target_vectors``: the file's own split is kept;
3. the same with per-window metadata dicts (pickled: never read);
4. ``contexts`` and ``targets`` with ``article_ids`` [N].

Two passes: the first checks every value and hashes every vector, which gives the number of distinct ones; only then
is the store allocated, exactly as large as needed, and the second pass fills it and proves that equal hashes were
equal vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from models.data.hashing import hash_block
from models.data.readers.archive import Archive
from models.data.readers.loaded import Loaded, Scan, check_memory, check_shape, codes, narrow
from models.data.store import Corpus, FloatArray, Rows, Windows, empty

CONTEXTS = ("context_sequences", "contexts")
TARGETS = ("target_vectors", "targets")
IDS = ("article_ids", "article_indices", "article_index")
BLOCK = 2048


@dataclass(frozen=True)
class Pair:
    """One pair of arrays of the same N: contexts [N, T, D] and targets [N, D]."""

    contexts: str
    targets: str
    count: int
    length: int
    dim: int

    @classmethod
    def of(cls, archive: Archive, contexts: tuple[str, ...], targets: tuple[str, ...], like: Pair | None) -> Pair:
        """The pair under the first names that exist; shapes must agree with each other and with ``like``."""
        context_key = archive.find(contexts, "context vectors [N, T, D], or else 'vectors' [M, D] with 'article' [M]")
        target_key = archive.find(targets, "target vectors [N, D]")
        header = archive.header(context_key)
        wanted = (None, like.length, like.dim) if like else (None, None, None)
        shown = f"[N, {like.length}, {like.dim}]" if like else "[N, T, D]"
        header.require(archive.path, context_key, "f", wanted, f"float contexts {shown}")
        count, length, dim = header.shape
        check_shape(archive.path, context_key, count * max(length, 1), dim)
        meaning = f"float targets [{count}, {dim}], as {context_key} has {list(header.shape)}"
        archive.header(target_key).require(archive.path, target_key, "f", (count, dim), meaning)
        return cls(context_key, target_key, count, length, dim)


def read_windows(archive: Archive, context: int, *, strict: bool = True) -> Loaded:
    """All windows of the file over one store of its distinct vectors.

    Args:
        context: wanted length; a longer recorded context is cut to its last ``context`` chunks, a shorter one is an
            InputError.
    """
    main = Pair.of(archive, CONTEXTS, TARGETS, None)
    if main.length < context:
        fix = f"Set data.context = {main.length}."
        raise InputError(
            archive.path, f"holds {main.length} chunks of context; expected {context}", key=main.contexts, fix=fix
        )
    pairs = [main]
    if any(key in archive.keys for key in ("val_" + name for name in CONTEXTS)):
        names = tuple("val_" + name for name in CONTEXTS), tuple("val_" + name for name in TARGETS)
        pairs.append(Pair.of(archive, *names, main))
    stored = stored_type(archive, pairs)
    hashes = np.concatenate([_first_pass(archive, pair, stored, strict) for pair in pairs])
    _, first, inverse = np.unique(hashes.ravel(), return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")  # rows in the order in which the file first shows them
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    index: Rows = place[inverse.reshape(hashes.shape)]
    vectors = _second_pass(archive, pairs, index, stored, len(order))
    group, grouped, notes = _groups(archive, main, index, len(order))
    windows = Windows(Corpus(archive.path.stem, vectors, group), context, index=index[:, -context - 1 :])
    notes = (*_ignored(archive), *_narrowed(archive, pairs), *notes, *_cut(main, context))
    if len(pairs) == 1:
        return Loaded(windows, grouped, notes=notes)
    train = np.arange(len(windows)) < main.count
    return Loaded(windows.select(train), grouped, windows.select(~train), notes)


def stored_type(archive: Archive, pairs: list[Pair]) -> type[np.float16] | type[np.float32]:
    """float16 where every array is float16, else float32."""
    kinds = {archive.header(key).dtype for pair in pairs for key in (pair.contexts, pair.targets)}
    return np.float16 if kinds == {np.dtype(np.float16)} else np.float32


def _first_pass(archive: Archive, pair: Pair, stored: type[np.floating], strict: bool) -> NDArray[np.uint64]:
    """Hash of every vector, [N, T+1], after checking all of them."""
    hashes = np.empty((pair.count, pair.length + 1), dtype=np.uint64)
    for key, columns, axes in (
        (pair.contexts, slice(0, -1), ("row", "ctx")),
        (pair.targets, slice(-1, None), ("row",)),
    ):
        scan = Scan(archive.path, key, axes, strict)
        at = 0
        for raw in archive.blocks(key, BLOCK):
            block = narrow(raw, stored)
            scan.add(block, at)
            rows = hash_block(block.reshape(-1, pair.dim))
            hashes[at : at + len(block), columns] = rows.reshape(len(block), -1)
            at += len(block)
        scan.verdict()
    return hashes


def _second_pass(
    archive: Archive, pairs: list[Pair], index: Rows, stored: type[np.float16] | type[np.float32], distinct: int
) -> FloatArray:
    """The distinct vectors [M, D] in the order of their first window."""
    dim = pairs[0].dim
    check_memory(archive.path, np.dtype(stored).itemsize * distinct * dim)
    vectors = empty(distinct, dim, half=stored is np.float16)
    filled = np.zeros(distinct, dtype=bool)
    at = 0
    for pair in pairs:
        for key, columns in ((pair.contexts, slice(0, -1)), (pair.targets, slice(-1, None))):
            start = at
            for raw in archive.blocks(key, BLOCK):
                block = narrow(raw, stored).reshape(-1, dim)
                rows = index[start : start + len(raw), columns].ravel()
                new = ~filled[rows]
                vectors[rows[new]] = block[new]
                filled[rows] = True
                if not np.array_equal(
                    vectors[rows].view(np.uint8), block.view(np.uint8)
                ):  # bits: NaN is not equal to itself
                    raise InputError(archive.path, "two different vectors have one 64-bit hash", key=key)
                start += len(raw)
        at += pair.count
    return vectors


def _groups(archive: Archive, main: Pair, index: Rows, distinct: int) -> tuple[Rows, str, tuple[str, ...]]:
    """Article of every row [M], what it stands for, and what to say about it."""
    for key in IDS:
        if key in archive.keys and archive.header(key).dtype is not None:
            meaning = f"[{main.count}] integers, one for each window"
            archive.header(key).require(archive.path, key, "iu", (main.count,), meaning)
            ids = codes(archive.load(key))
            group = np.full(distinct, ids.max() + 1, dtype=np.int32)
            group[index[: main.count][::-1]] = ids[::-1, None]  # a chunk in two articles goes to the first
            return group, "article", ()
    group = connected(index, distinct)
    largest = float(np.bincount(group[index[:, -1]]).max()) / len(index)
    if largest > 0.5:
        return (
            np.zeros(distinct, dtype=np.int32),
            "",
            (
                f"no integer article ids, and {largest:.0%} of the windows hang together by shared chunks: "
                "a split by article cannot be guaranteed",
            ),
        )
    said = f"no integer article ids: {len(np.unique(group))} groups of windows that share no chunk stand for articles"
    return group, "shared_chunks", (said,)


def connected(index: Rows, distinct: int) -> Rows:
    """Number of each row's component, [M], where rows of one window are connected.

    Hooking and pointer jumping: every root that a window touches hangs on the smallest of them, then all paths are
    flattened, until nothing changes; about log(M) rounds.
    """
    label: Rows = np.arange(distinct, dtype=np.int32)
    while True:
        seen = label[index]
        low = seen.min(axis=1)
        if np.array_equal(seen, np.broadcast_to(low[:, None], seen.shape)):
            return codes(label)
        np.minimum.at(label, seen.ravel(), np.repeat(low, index.shape[1]))
        while not np.array_equal(label, flat := label[label]):
            label = flat


def _ignored(archive: Archive) -> tuple[str, ...]:
    objects = archive.objects()
    if not objects:
        return ()
    return (f"not read, because they hold pickled Python objects: {', '.join(sorted(objects))}",)


def _narrowed(archive: Archive, pairs: list[Pair]) -> tuple[str, ...]:
    wide = any(archive.header(key).dtype == np.float64 for pair in pairs for key in (pair.contexts, pair.targets))
    return ("float64 read as float32",) if wide else ()


def _cut(main: Pair, context: int) -> tuple[str, ...]:
    if main.length == context:
        return ()
    return (f"recorded with {main.length} chunks of context: the last {context} are used",)


def is_windows(archive: Archive) -> bool:
    """Whether the archive holds ready-made windows rather than vectors and articles."""
    return any(key in archive.keys for key in (*CONTEXTS, *TARGETS)) or "vectors" not in archive.keys
