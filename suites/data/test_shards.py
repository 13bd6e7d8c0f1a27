"""Vectors in many files: the same batches, figures and order as in one, and every fault names its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from models.data import mmap as mapping
from models.data.config import input_files
from models.data.dataset import open_data
from models.data.loader import Loader, epoch_order
from models.data.mmap import blocks, held_by, take
from models.data.prefetch import prefetch
from models.data.readers.folder import read_folder
from models.data.shards import Shards
from models.data.store import Corpus, Windows
from suites.data.shuffling import spread

ROWS, DIM, CONTEXT = 900, 16, 4
CUTS = (250, 251, 600)  # the rows at which a new file begins; articles of 30 rows go across them


def vectors(dtype: type = np.float32) -> NDArray[Any]:
    drawn = np.random.default_rng(5).standard_normal((ROWS, DIM))
    return np.asarray((drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(dtype))


def article() -> NDArray[np.int32]:
    return (np.arange(ROWS) // 30).astype(np.int32)


def write(folder: Path, parts: list[NDArray[Any]], name: str = "vectors-{:05d}.npy") -> Path:
    folder.mkdir()
    for number, part in enumerate(parts):
        np.save(folder / name.format(number), part)
    np.save(folder / "article.npy", article())
    return folder


def sharded(folder: Path, dtype: type = np.float32) -> Path:
    return write(folder, np.split(vectors(dtype), CUTS))


def windows_of(folder: Path) -> Windows:
    return read_folder(folder, CONTEXT).windows


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("reads", [True, False])
def test_batches_are_those_from_memory_to_the_bit(
    tmp_path: Path, dtype: type, reads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping, "READS", reads and mapping.READS)
    plain, filed = Corpus("c", vectors(dtype), article()).windows(CONTEXT), windows_of(sharded(tmp_path / "a", dtype))
    assert isinstance(filed.corpus.vectors, Shards)
    assert (filed.corpus.mapped is not None) == (reads and mapping.READS)
    order = np.random.default_rng(0).permutation(len(plain))
    for idx in (order, order[:3], slice(2, 9), order[:0], np.arange(240, 250)):
        wanted, got = plain.batch(idx), filed.batch(idx)
        assert [part.tobytes() for part in wanted] == [part.tobytes() for part in got]


def test_it_is_read_like_an_array(tmp_path: Path) -> None:
    values, filed = vectors(), windows_of(sharded(tmp_path / "a")).corpus.vectors
    assert (filed.shape, filed.dtype, filed.nbytes, len(filed)) == (values.shape, values.dtype, values.nbytes, ROWS)
    for key in (0, -1, slice(240, 260), slice(None, None, 7), np.array([[3, 700], [-1, 250]]), values[:, 0] > 0):
        np.testing.assert_array_equal(filed[key], values[key])
    np.testing.assert_array_equal(filed.copy(), values)
    np.testing.assert_array_equal(take(filed, np.array([899, 0, 250])), values[[899, 0, 250]])
    np.testing.assert_array_equal(np.concatenate([block.copy() for _, block in blocks(filed, 100)]), values)
    with pytest.raises(IndexError, match="900 of 4 files"):
        filed[np.array([ROWS])]


def test_figures_and_fingerprint_are_those_of_one_file(tmp_path: Path) -> None:
    folders = [sharded(tmp_path / "many"), write(tmp_path / "one", [vectors()], "vectors.npy")]
    many, one = (open_data({"path": str(folder), "name": "v", "context": CONTEXT}, seed=0) for folder in folders)
    assert many.fingerprint == one.fingerprint
    assert many.facts() == one.facts()
    assert [path.name for path in input_files({"path": str(folders[0])})] == [
        "article.npy",
        *(f"vectors-0000{number}.npy" for number in range(4)),
    ]


def test_an_epoch_goes_on_where_it_was_left(tmp_path: Path) -> None:
    loader = Loader(windows_of(sharded(tmp_path / "a")), 32, torch.device("cpu"))
    whole = [target.clone() for _, target in loader.shuffled(3, 2)]
    for first in (0, 1, 7, len(whole) - 1):
        rest = [target.clone() for _, target in loader.shuffled(3, 2, first)]
        assert len(rest) == len(whole) - first
        assert all(torch.equal(one, other) for one, other in zip(rest, whole[first:], strict=True))


def test_read_ahead_names_the_bytes_of_every_file(tmp_path: Path) -> None:
    filed = windows_of(sharded(tmp_path / "a"))
    held = held_by(filed.corpus.vectors)
    assert held is not None
    files = [part.file.fd for part in held.parts]  # type: ignore[attr-defined]
    told = held.ranges(np.array([0, 249, 250, 899]))
    assert {fd for fd, _, _ in told} == {files[0], files[1], files[3]}
    for file, row in ((0, 0), (0, 249), (1, 0), (3, 299)):
        begin = held.parts[file].start + row * held.row_bytes  # type: ignore[attr-defined]
        assert any(
            fd == files[file] and start <= begin and begin + held.row_bytes <= start + length
            for fd, start, length in told
        )
    batches = [np.arange(10), np.arange(240, 260), slice(0, 5)]
    assert [id(batch) for batch in prefetch(filed, batches)] == [id(batch) for batch in batches]


def test_a_file_that_changes_is_named(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "a")
    filed = windows_of(folder)
    filed.batch(np.arange(ROWS - 200))
    with (folder / "vectors-00002.npy").open("ab") as file:
        file.write(b"more")
    filed.batch(np.arange(200))  # other files
    with pytest.raises(InputError, match=r"vectors-00002\.npy: changed while it was in use"):
        filed.batch(np.arange(200, 300))


def broken(values: NDArray[Any], row: int) -> NDArray[Any]:
    again = values.copy()
    again[row] = np.nan
    return again


FAULTS: dict[str, tuple[Any, str]] = {
    "a gap": (
        lambda folder: (folder / "vectors-00001.npy").unlink(),
        "3 files of vectors; expected numbers 00000 to 00002",
    ),
    "cut at the end of a promise": (
        lambda folder: [path.rename(path.with_stem(f"{path.stem}-of-00005")) for path in folder.glob("vectors-*")],
        "4 files of vectors; expected numbers 00000 to 00004, not so 00004",
    ),
    "one file beside": (lambda folder: np.save(folder / "vectors.npy", vectors()), "expected one set of vectors"),
    "another width": (
        lambda folder: np.save(folder / "vectors-00002.npy", vectors()[:, :8]),
        "vectors-00002.npy: vectors: shape [900, 8]; expected [M, 16] like vectors-00000.npy",
    ),
    "another type": (
        lambda folder: np.save(folder / "vectors-00003.npy", vectors(np.float16)),
        "vectors-00003.npy: vectors: dtype float16; expected float32, as in vectors-00000.npy",
    ),
    "a wide type": (
        lambda folder: np.save(folder / "vectors-00000.npy", vectors(np.float64)),
        "vectors-00000.npy: vectors: dtype float64; expected float32 or float16",
    ),
    "a faulty row": (
        lambda folder: np.save(folder / "vectors-00002.npy", broken(vectors()[251:600], 7)),
        "vectors-00002.npy: vectors: 16 NaN or infinite values, first at [row 7, dim 0]",
    ),
    "other rows than ids": (
        lambda folder: np.save(folder / "vectors-00001.npy", vectors()[250:252]),
        "expected [901] integers",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_with_its_file(tmp_path: Path, fault: str) -> None:
    spoil, message = FAULTS[fault]
    folder = sharded(tmp_path / "a")
    spoil(folder)
    with pytest.raises(InputError) as raised:
        windows_of(folder)
    assert message in str(raised.value)


def test_an_empty_file_among_them_is_none(tmp_path: Path) -> None:
    parts = np.split(vectors(), [250, 250])
    np.testing.assert_array_equal(windows_of(write(tmp_path / "a", parts)).corpus.vectors.copy(), vectors())


# -- the order ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("epoch", [1, 2])
def test_an_epoch_is_spread_over_the_files_as_chance_does(epoch: int) -> None:
    found = spread(epoch_order(0, epoch, 100_000), 32, 100)
    assert found.step == pytest.approx(1.0, abs=0.01)
    assert found.same_file == pytest.approx(1.0, abs=0.1)
    assert found.files_a_batch == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("kind", ["in order", "files in a random order", "shuffled in blocks of 1,000"])
def test_an_order_that_is_not_shuffled_is_seen(kind: str) -> None:
    rng = np.random.default_rng(0)
    order = np.arange(100_000).reshape(100, 1000)
    if kind != "in order":
        order = rng.permutation(order)
    if kind == "shuffled in blocks of 1,000":
        order = rng.permuted(order, axis=1)
    found = spread(order.reshape(-1), 32, 100)
    assert found.step < 0.1
    assert found.same_file > 50
    assert found.files_a_batch < 0.1
