"""The original project's four npz formats and our own: what is read, what is never read, what a split can promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lvmcheck.errors import InputError
from models.data.dataset import open_data
from models.data.readers.windows_npz import connected
from models.data.store import Corpus, Windows
from models.data.stored import read


@pytest.fixture(scope="module")
def sound() -> Windows:
    """600 windows of 40 articles with 15 windows each, 5 + 1 chunks of 16 dimensions."""
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((800, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return Corpus("s", vectors, np.repeat(np.arange(40, dtype=np.int32), 20)).windows(5)


def arrays(windows: Windows, idx: Any = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    context, target = windows.batch(idx)
    return np.ascontiguousarray(context), np.ascontiguousarray(target)


def same_windows(found: Windows, wanted: Windows, idx: Any = slice(None)) -> None:
    np.testing.assert_array_equal(found.batch(slice(None))[0], wanted.batch(idx)[0])
    np.testing.assert_array_equal(found.batch(slice(None))[1], wanted.batch(idx)[1])


def test_flat_exporter_with_pickled_members(tmp_path: Path, sound: Windows) -> None:
    """Format 1: texts, positions and metadata beside the vectors; the pickled ones are named and left alone."""
    context, target = arrays(sound)
    path = tmp_path / "flat.npz"
    ids = np.array([f"a{i}" for i in range(len(target))], dtype=object)
    np.savez(
        path,
        context_sequences=context,
        target_vectors=target,
        target_texts=np.array(["x"] * len(target)),
        target_tmds=np.zeros(len(target), np.int32),
        target_ids=ids,
        sequence_positions=np.arange(len(target), dtype=np.int32),
        metadata=np.array([{"n": 1}], dtype=object),
    )
    loaded = read(path, 5)
    same_windows(loaded.windows, sound)
    assert len(loaded.windows.corpus) == 800  # every chunk once, although it occurs in up to six windows
    assert "not read, because they hold pickled Python objects: metadata, target_ids" in loaded.notes
    dataset = open_data({"path": str(path)}, seed=0)
    assert dataset.split == "by_shared_chunks"
    assert dataset.facts()["leak"] == 0.0
    assert "no integer article ids: 40 groups of windows that share no chunk stand for articles" in dataset.notes


def test_permuted_exporter_with_its_own_validation(tmp_path: Path, sound: Windows) -> None:
    """Format 2: windows in random order and a recorded split, which is kept and measured."""
    order = np.random.default_rng(0).permutation(len(sound))
    train, val = order[:500], order[500:]
    path = tmp_path / "split.npz"
    names = ("context_sequences", "target_vectors"), ("val_context_sequences", "val_target_vectors")
    members = dict(zip(names[0] + names[1], (*arrays(sound, train), *arrays(sound, val)), strict=True))
    np.savez_compressed(path, **members)
    dataset = open_data({"path": str(path)}, seed=0)
    same_windows(dataset.train_epoch(1), sound, train)
    same_windows(dataset.validation, sound, val)
    assert dataset.split == "recorded"
    assert dataset.facts()["leak"] > 0.9
    assert any(note.startswith("split as recorded in the file: ") for note in dataset.notes)


def test_permuted_windows_without_ids_are_split_without_a_shared_chunk(tmp_path: Path, sound: Windows) -> None:
    order = np.random.default_rng(1).permutation(len(sound))
    path = tmp_path / "permuted.npz"
    context, target = arrays(sound, order)
    np.savez(path, context_sequences=context, target_vectors=target)
    dataset = open_data({"path": str(path), "val_fraction": 0.2}, seed=0)
    rows = [set(part.rows().ravel().tolist()) for part in (dataset.train_epoch(1), dataset.validation)]
    assert not rows[0] & rows[1]
    assert 0.15 < len(dataset.validation) / len(sound) < 0.3


def test_one_long_article_falls_back_to_blocks(tmp_path: Path) -> None:
    """An 'N - 5' file: all windows hang together, so the split is in blocks with a gap, and says what it cannot do."""
    vectors = np.random.default_rng(2).standard_normal((700, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    context, target = arrays(Corpus("j", vectors, np.zeros(700, np.int32)).windows(5))
    path = tmp_path / "joined.npz"
    np.savez(path, context_sequences=context, target_vectors=target)
    dataset = open_data({"path": str(path)}, seed=0)
    assert dataset.split == "blocks"
    assert dataset.facts()["leak"] == 0.0
    assert any("100% of the windows hang together" in note for note in dataset.notes)
    assert any("an article may lie on both sides" in note for note in dataset.notes)


def test_compat_format_with_article_ids(tmp_path: Path, sound: Windows) -> None:
    """Format 4: integer ids give a real split by article; ids are large and in no order."""
    context, target = arrays(sound)
    ids = 10**12 - 7 * sound.articles().astype(np.int64)
    path = tmp_path / "compat.npz"
    np.savez(path, contexts=context, targets=target, article_ids=ids, target_indices=np.arange(600))
    loaded = read(path, 5)
    assert loaded.grouped == "article"
    dataset = open_data({"path": str(path), "val_fraction": 0.25}, seed=0)
    assert dataset.split == "by_article"
    assert any(note.startswith("split by article: 10 of 40 articles held out") for note in dataset.notes)
    assert dataset.facts()["leak"] == 0.0


def test_our_own_format_with_and_without_starts(tmp_path: Path, sound: Windows) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, vectors=sound.corpus.vectors, article=sound.corpus.article)
    same_windows(read(path, 5).windows, sound)
    starts = np.array([0, 3, 17, 41])  # 17 would leave article 0
    np.savez(path, vectors=sound.corpus.vectors.astype(np.float16), article=sound.corpus.article, starts=starts)
    loaded = read(path, 5)
    assert loaded.windows.rows()[:, 0].tolist() == [0, 3, 41]
    assert loaded.windows.corpus.vectors.dtype == np.float16
    assert loaded.notes == ("own.npz: 1 of 4 windows leave their article: dropped",)


def test_longer_recorded_context_is_cut_and_shorter_refused(tmp_path: Path, sound: Windows) -> None:
    context, target = arrays(sound)
    path = tmp_path / "five.npz"
    np.savez(path, contexts=context, targets=target)
    loaded = read(path, 3)
    np.testing.assert_array_equal(loaded.windows.batch(slice(None))[0], context[:, 2:])
    assert "recorded with 5 chunks of context: the last 3 are used" in loaded.notes
    with pytest.raises(
        InputError, match=r"five.npz: contexts: holds 5 chunks of context; expected 7. Set data.context = 5"
    ):
        read(path, 7)


@pytest.mark.parametrize(("dtype", "stored"), [(np.float16, np.float16), (np.float64, np.float32)])
def test_other_float_widths(tmp_path: Path, sound: Windows, dtype: type, stored: type) -> None:
    """float64 is read as float32 and said so; float16 stays as small as it is."""
    context, target = arrays(sound)
    path = tmp_path / "wide.npz"
    np.savez(path, contexts=context.astype(dtype), targets=target.astype(dtype))
    loaded = read(path, 5)
    assert loaded.windows.corpus.vectors.dtype == stored
    np.testing.assert_allclose(loaded.windows.batch(slice(None))[1], target, atol=1e-3)
    assert ("float64 read as float32" in loaded.notes) == (dtype is np.float64)


def test_connected_components_of_a_shuffled_chain() -> None:
    order = np.random.default_rng(3).permutation(500).astype(np.int32)
    chain = np.stack([order[:-1], order[1:]], axis=1)
    assert set(connected(chain, 500).tolist()) == {0}
    cut = chain[[i for i in range(499) if i not in (99, 299)]]
    labels = connected(cut, 500)
    assert len(set(labels.tolist())) == 3
    assert sorted(np.bincount(labels).tolist()) == [100, 200, 200]
