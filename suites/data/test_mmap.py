"""Arrays in files: the same rows as from memory, nothing left mapped, and one error where the file changes."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from models.data import spilled
from models.data.mmap import MappedRows, blocks, map_array, take
from models.data.spilled import filled, unnamed
from models.data.store import Corpus, Windows
from models.data.stored import read

ROWS, DIM = 60, 16


def vectors(dtype: type = np.float32, rows: int = ROWS) -> NDArray[Any]:
    drawn = np.random.default_rng(rows).standard_normal((rows, DIM))
    unit: NDArray[Any] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit.astype(dtype)


def on_disk(folder: Path, values: NDArray[Any]) -> NDArray[Any]:
    """The same values, mapped from the raw file ``folder/raw`` behind seven bytes of something else."""
    (folder / "raw").write_bytes(b"heading" + values.tobytes())
    return map_array(folder / "raw", values.dtype, 7, values.shape)


def article(rows: int = ROWS) -> NDArray[np.int32]:
    return (np.arange(rows) // 13).astype(np.int32)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> NDArray[Any]:
    return on_disk(tmp_path_factory.mktemp("mapped"), vectors())


# -- the same rows -----------------------------------------------------------------------------------------------------
@given(st.lists(st.integers(0, ROWS - 1), max_size=30))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_rows_are_those_of_the_file(mapped: NDArray[Any], rows: list[int]) -> None:
    np.testing.assert_array_equal(take(mapped, np.array(rows, dtype=np.int32)), vectors()[rows])


@pytest.mark.parametrize("size", [1, 7, ROWS, 1000])
def test_blocks_are_the_whole_file_in_order(mapped: NDArray[Any], size: int) -> None:
    parts = [(start, block.copy()) for start, block in blocks(mapped, size)]
    assert [start for start, _ in parts] == list(range(0, ROWS, size))
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), vectors())


def test_parts_of_a_mapped_array_know_their_place(mapped: NDArray[Any]) -> None:
    part = MappedRows.of(mapped[20:40])
    assert part is not None
    assert (part.start, part.row_bytes) == (7 + 20 * 4 * DIM, 4 * DIM)
    np.testing.assert_array_equal(take(mapped[20:40], np.array([3])), vectors()[[23]])
    for elsewhere in (vectors(), mapped.copy(), mapped[:, :4], mapped[::2], mapped[:0]):
        assert MappedRows.of(elsewhere) is None
        np.testing.assert_array_equal(take(elsewhere, np.arange(len(elsewhere))), elsewhere)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_batches_from_a_file_are_those_from_memory_to_the_bit(tmp_path: Path, dtype: type) -> None:
    plain = Corpus("c", vectors(dtype), article()).windows(4)
    filed = Corpus("c", on_disk(tmp_path, vectors(dtype)), article()).windows(4)
    assert filed.corpus.mapped is not None
    listed = [Windows(w.corpus, 4, index=np.random.default_rng(1).permuted(w.rows(), axis=1)) for w in (plain, filed)]
    for one, other in ((plain, filed), listed):
        order = np.random.default_rng(0).permutation(len(one))
        for idx in (order, order[:3], slice(2, 9), order[:0]):
            wanted, got = one.batch(idx), other.batch(idx)
            assert [part.tobytes() for part in wanted] == [part.tobytes() for part in got]


def test_a_folder_and_an_archive_of_the_same_vectors_have_one_fingerprint(tmp_path: Path) -> None:
    from models.data.dataset import open_data

    values, groups = vectors(rows=900), (np.arange(900) // 30).astype(np.int32)
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "vectors.npy", values)
    np.save(tmp_path / "folder" / "article.npy", groups)
    np.savez(tmp_path / "loaded.npz", vectors=values, article=groups)
    filed, loaded = (open_data({"path": str(tmp_path / name)}, seed=0) for name in ("folder", "loaded.npz"))
    assert filed.validation.corpus.mapped is not None
    assert loaded.validation.corpus.mapped is None
    assert filed.fingerprint == loaded.fingerprint
    mine, theirs = ({k: v for k, v in data.facts().items() if k != "name"} for data in (filed, loaded))
    assert mine == theirs


# -- a file that changes -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("change", ["cut", "emptied", "grown", "written"])
def test_a_file_that_changes_while_it_is_used_is_one_error(tmp_path: Path, change: str) -> None:
    held = on_disk(tmp_path, vectors())
    windows = Corpus("c", held, article()).windows(3)
    windows.batch(slice(0, 5))
    size = (tmp_path / "raw").stat().st_size
    if change == "written":
        with (tmp_path / "raw").open("r+b") as file:
            file.write(b"another")
        os.utime(tmp_path / "raw", ns=(1, 1))  # a clock coarser than the test would hide it
    else:
        os.truncate(tmp_path / "raw", {"cut": size - 40 * DIM, "emptied": 0, "grown": size + 1}[change])
    for reading in (lambda: windows.batch(slice(0, 5)), lambda: take(held, np.array([2])), lambda: [*blocks(held, 9)]):
        with pytest.raises(InputError, match="changed while it was in use") as caught:
            reading()
        assert str(caught.value).startswith(f"{tmp_path / 'raw'}: ")
        assert "\n" not in str(caught.value)


def test_a_file_that_is_replaced_or_removed_is_read_to_its_end(tmp_path: Path) -> None:
    held = on_disk(tmp_path, vectors())
    (tmp_path / "new").write_bytes(b"short")
    (tmp_path / "new").rename(tmp_path / "raw")
    np.testing.assert_array_equal(take(held, np.arange(ROWS)), vectors())
    (tmp_path / "raw").unlink()
    np.testing.assert_array_equal(take(held, np.arange(ROWS)), vectors())


def test_a_disk_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    held = on_disk(tmp_path, vectors())
    rows = MappedRows.of(held)
    assert rows is not None
    write_only = os.open(tmp_path / "raw", os.O_WRONLY)
    os.dup2(write_only, rows.file.fd)
    os.close(write_only)
    with pytest.raises(InputError, match=r"raw: cannot be read at byte 135: ."):
        take(held, np.array([2]))


def test_a_file_that_holds_too_little_is_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(100))
    with pytest.raises(InputError, match="expected at least 104 bytes, got 100"):
        map_array(tmp_path / "raw", np.dtype(np.float32), 0, (26,))
    with pytest.raises(InputError, match="cannot be mapped"):
        map_array(tmp_path / "nowhere", np.dtype(np.float32), 0, (26,))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files through /proc")
def test_the_file_is_closed_with_the_last_array(tmp_path: Path) -> None:
    def held_open() -> int:
        return sum(item.resolve() == tmp_path / "raw" for item in Path("/proc/self/fd").iterdir())

    array = on_disk(tmp_path, vectors())
    part = array[3:5]
    del array
    assert held_open() == 2  # the map's own and ours
    np.testing.assert_array_equal(part, vectors()[3:5])
    del part
    gc.collect()
    assert held_open() == 0


# -- spilling ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_is_spilled_is_what_would_be_in_memory(
    tmp_path: Path, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parts() -> list[NDArray[Any]]:
        return np.array_split(vectors(), 7)

    kind, folder = np.dtype(dtype), tmp_path / "a" / "cache"
    plain = filled(parts(), kind, (ROWS, DIM), folder)
    assert MappedRows.of(plain) is None
    monkeypatch.setattr(spilled, "SPILL", ROWS * DIM * kind.itemsize)
    filed = filled(parts(), kind, (ROWS, DIM), folder)
    assert MappedRows.of(filed) is not None
    assert filed.dtype == kind
    np.testing.assert_array_equal(filed, plain)
    np.testing.assert_array_equal(take(filed, np.arange(ROWS)), plain)
    assert list(folder.iterdir()) == []  # nothing to clean up, however the process ends
    (tmp_path / "file").write_text("not a folder")
    for nowhere in (None, tmp_path / "file"):
        kept = filled(parts(), kind, (ROWS, DIM), nowhere)
        assert MappedRows.of(kept) is None
        np.testing.assert_array_equal(kept, plain)


def test_a_disk_without_room_is_found_before_anything_is_written(tmp_path: Path) -> None:
    assert unnamed(tmp_path, 2**60) is None
    assert list(tmp_path.iterdir()) == []


def test_a_spilled_twin_is_the_same_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.data.dataset import open_data

    config = {"sequences": 900, "val_sequences": 200, "ood_sequences": 100, "dim": 64, "fresh": False}
    plain = open_data(config, seed=3, cache=tmp_path)
    monkeypatch.setattr(spilled, "SPILL", 1)
    filed = open_data(config, seed=3, cache=tmp_path)
    for windows in (filed.train_epoch(1), filed.validation, filed.ood["coherent"]):
        assert windows.corpus.mapped is not None
    assert filed.fingerprint == plain.fingerprint
    assert filed.facts() == plain.facts()


# -- memory ------------------------------------------------------------------------------------------------------------
def test_opening_a_corpus_takes_memory_for_its_windows_and_not_for_its_vectors(tmp_path: Path) -> None:
    import tracemalloc

    def peak(rows: int) -> int:
        folder = tmp_path / str(rows)
        folder.mkdir()
        wide = np.tile(vectors(rows=200), (rows // 200, 16)) / 4
        np.save(folder / "vectors.npy", wide.astype(np.float32))
        np.save(folder / "article.npy", (np.arange(rows) // 40).astype(np.int32))
        del wide
        read(folder, 5)  # what is imported on the way does not count
        tracemalloc.start()
        try:
            loaded = read(folder, 5)
            assert len(loaded.windows) == rows // 40 * 35
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(16_000), peak(48_000)
    assert (large - small) / 32_000 < 64  # a row of these vectors is 1024 bytes
