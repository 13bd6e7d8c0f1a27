"""Read-ahead: the order of the batches stays what it is, and exactly their bytes are announced before they are due."""

from __future__ import annotations

import itertools
import mmap
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.errors import InputError
from lvmcheck.run.recorder import Recorder
from models.data import prefetch as module
from models.data.loader import Loader
from models.data.mmap import MappedFile, MappedRows, byte_ranges, map_array
from models.data.prefetch import PIECE, prefetch
from models.data.store import Corpus, Windows
from suites.trainers.vector_kit import TINY, run

DIM, ROWS = 192, 2_000
LEAD = 128  # bytes before the vectors
CPU = torch.device("cpu")
needs_advice = pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system takes no advice on files")


def vectors() -> np.ndarray[Any, np.dtype[np.float32]]:
    drawn = np.random.default_rng(5).standard_normal((ROWS, DIM)).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def windows_over(values: Any) -> Windows:
    return Corpus("c", values, (np.arange(ROWS) // 25).astype(np.int32)).windows(5)


@pytest.fixture(scope="module")
def filed(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    path = tmp_path_factory.mktemp("ahead") / "raw"
    path.write_bytes(bytes(LEAD) + vectors().tobytes())
    return windows_over(map_array(path, np.dtype(np.float32), LEAD, (ROWS, DIM)))


def held_by(windows: Windows) -> MappedRows:
    assert windows.corpus.mapped is not None
    return windows.corpus.mapped


def advised(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Start and length of everything that the kernel is told from now on; it is told all the same."""
    told: list[tuple[int, int]] = []
    real = os.posix_fadvise

    def tell(fd: int, start: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        told.append((start, length))
        real(fd, start, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", tell)
    return told


def pages(stretches: list[tuple[int, int]]) -> set[int]:
    return {page for start, length in stretches for page in range(start // mmap.PAGESIZE, -(-(start + length) // 4096))}


# -- the same batches --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("batch_size", [1, 32, 500, 10_000])
@pytest.mark.parametrize("first", [0, 2])
def test_a_file_gives_the_batches_that_memory_gives(filed: Windows, batch_size: int, first: int) -> None:
    plain = windows_over(vectors())
    one, other = (Loader(windows, batch_size, CPU) for windows in (plain, filed))
    for mine, theirs in ((one.shuffled(3, 2, first), other.shuffled(3, 2, first)), (one.in_order(), other.in_order())):
        count = 0
        for wanted, got in zip(mine, theirs, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(wanted, got, strict=True))
            count += 1
        assert count <= len(one)


@given(st.lists(st.lists(st.integers(0, 1_500), min_size=1, max_size=40), max_size=30))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_batches_keep_their_order(filed: Windows, lists: list[list[int]]) -> None:
    batches = [np.array(each) for each in lists]
    assert [batch.tolist() for batch in prefetch(filed, iter(batches)) if not isinstance(batch, slice)] == lists


# -- what is announced -------------------------------------------------------------------------------------------------
@given(st.lists(st.integers(0, ROWS - 1), max_size=80), st.sampled_from([4096, 16_384, 65_536]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_ranges_are_exactly_the_pages_of_the_rows(filed: Windows, rows: list[int], page: int) -> None:
    held = held_by(filed)
    found = byte_ranges(held, np.array(rows, dtype=np.int32), page)
    touched = {
        (held.start + row * held.row_bytes + byte) // page
        for row in rows
        for byte in (0, *range(0, held.row_bytes, 64))
    } | {(held.start + (row + 1) * held.row_bytes - 1) // page for row in rows}
    covered = [start // page + k for start, length in found for k in range(length // page)]
    assert sorted(touched) == covered
    assert all(start % page == 0 and length % page == 0 for start, length in found)
    assert all(a + b < c for (a, b), (c, _) in itertools.pairwise(found))


@needs_advice
def test_every_batch_is_announced_before_it_is_due_and_not_long_before(
    filed: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, held = advised(monkeypatch), held_by(filed)
    batches = np.array_split(np.random.default_rng(0).permutation(len(filed)), 40)
    size = filed.rows(batches[0]).size * held.row_bytes
    monkeypatch.setattr(module, "PREFETCH_BYTES", 5 * size)
    given_out = 0

    def asked() -> Any:
        for number, batch in enumerate(batches):
            assert number - given_out <= 6  # five on their way, and the one that is being announced
            yield batch

    for batch in prefetch(filed, asked()):
        given_out += 1
        assert pages(byte_ranges(held, filed.rows(batch))) <= pages(told)
    assert given_out == len(batches)
    assert pages(told) == pages(byte_ranges(held, filed.rows()))
    assert max(length for _, length in told) <= PIECE


@needs_advice
def test_memory_needs_no_announcement(monkeypatch: pytest.MonkeyPatch) -> None:
    told, plain, before = advised(monkeypatch), windows_over(vectors()), threading.active_count()
    batches = Loader(plain, 32, CPU).shuffled(0, 1)
    next(batches)
    assert threading.active_count() == before
    assert len(list(batches)) == len(Loader(plain, 32, CPU)) - 1
    assert told == []


@needs_advice
def test_who_stops_early_leaves_no_thread(filed: Windows) -> None:
    before = threading.active_count()
    batches = Loader(filed, 8, CPU).shuffled(0, 1)
    next(batches)
    assert threading.active_count() == before + 1
    del batches
    assert threading.active_count() == before


# -- a file that is cut while a run trains on it -----------------------------------------------------------------------
@pytest.mark.parametrize("step", [2, 9])
def test_a_corpus_that_is_cut_ends_the_run_with_one_error(tmp_path: Path, step: int) -> None:
    (tmp_path / "corpus").mkdir()
    np.save(tmp_path / "corpus" / "vectors.npy", vectors()[:400])
    np.save(tmp_path / "corpus" / "article.npy", (np.arange(400) // 25).astype(np.int32))
    config = {**TINY, "data": {"source": "path", "path": str(tmp_path / "corpus")}, "window": 1}

    def judge(rec: Recorder, epoch_ended: bool) -> None:  # noqa: ARG001 - the signature a judge has
        if rec.steps == step:
            os.truncate(tmp_path / "corpus" / "vectors.npy", 5_000)

    with pytest.raises(InputError, match=r"vectors\.npy: changed while it was in use: 307328 bytes .*, 5000 now"):
        run(tmp_path / "run", config, judge=judge)


def test_a_mapped_file_is_its_own_kind_of_map(filed: Windows) -> None:
    assert isinstance(held_by(filed).file, MappedFile)
    assert held_by(filed).start == LEAD
