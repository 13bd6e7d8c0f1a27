"""The chunk store: windows stay inside articles, batches are the rows they say, nothing is materialised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.store import Corpus, Windows, run_starts


def corpus_of(lengths: list[int], dim: int = 4, dtype: type = np.float32) -> Corpus:
    rng = np.random.default_rng(sum(lengths))
    vectors = rng.standard_normal((sum(lengths), dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    article = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return Corpus("c", vectors.astype(dtype), article)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 6))
def test_windows_are_exactly_those_inside_an_article(lengths: list[int], context: int) -> None:
    corpus = corpus_of(lengths)
    rows = corpus.windows(context).rows()
    wanted = [
        list(range(start, start + context + 1))
        for start in range(len(corpus) - context)
        if len(set(corpus.article[start : start + context + 1].tolist())) == 1
    ]
    assert rows.tolist() == wanted
    assert len(corpus.windows(context)) == sum(max(length - context, 0) for length in lengths)


def test_batch_gives_context_and_target_of_the_rows() -> None:
    corpus = corpus_of([7, 3, 8])
    windows = corpus.windows(3)
    idx = np.array([5, 0, 2])
    context, target = windows.batch(idx)
    assert context.shape == (3, 3, 4)
    assert target.shape == (3, 4)
    for place, window in enumerate(idx):
        rows = windows.rows(np.array([window]))[0]
        np.testing.assert_array_equal(context[place], corpus.vectors[rows[:3]])
        np.testing.assert_array_equal(target[place], corpus.vectors[rows[3]])


def test_batch_writes_into_the_given_block_and_refuses_a_small_one() -> None:
    windows = corpus_of([9]).windows(2)
    out = np.full((5, 3, 4), np.nan, dtype=np.float32)
    context, target = windows.batch(slice(0, 4), out=out)
    assert np.shares_memory(context, out)
    assert np.shares_memory(target, out)
    assert np.isnan(out[4]).all()
    with pytest.raises(ValueError, match="out must hold"):
        windows.batch(slice(0, 6), out=out)


def test_index_windows_equal_consecutive_ones() -> None:
    plain = corpus_of([6, 9]).windows(4)
    listed = Windows(plain.corpus, 4, index=plain.rows())
    assert len(listed) == len(plain)
    for idx in (np.array([3, 1]), slice(1, 5)):
        np.testing.assert_array_equal(listed.batch(idx)[0], plain.batch(idx)[0])
    np.testing.assert_array_equal(listed.articles(), plain.articles())
    chosen = np.array([4, 2])
    np.testing.assert_array_equal(listed.select(chosen).rows(), plain.select(chosen).rows())


def test_select_by_mask_shares_the_vectors() -> None:
    windows = corpus_of([8, 8]).windows(2)
    mask = windows.articles() == 1
    half = windows.select(mask)
    assert half.corpus.vectors is windows.corpus.vectors
    assert set(half.articles().tolist()) == {1}
    assert len(half) == int(mask.sum())


def test_float16_batches_are_unit_and_zero_rows_stay_zero() -> None:
    corpus = corpus_of([40], dim=64, dtype=np.float16)
    corpus.vectors[3] = 0
    context, target = corpus.windows(5).batch(slice(None))
    norms = np.linalg.norm(np.concatenate([context.reshape(-1, 64), target]), axis=1)
    assert context.dtype == np.float32
    assert np.all((np.abs(norms - 1) < 1e-6) | (norms == 0))
    assert (norms == 0).any()


def test_window_rows_outside_the_corpus_are_refused() -> None:
    corpus = corpus_of([6])
    with pytest.raises(IndexError, match="run past the 6 rows"):
        Windows(corpus, 5, starts=np.array([1], dtype=np.int32))
    with pytest.raises(IndexError, match="run past"):
        Windows(corpus, 1, index=np.array([[0, -1]], dtype=np.int32))
    with pytest.raises(TypeError, match="exactly one"):
        Windows(corpus, 1)


def test_run_starts_skips_articles_that_are_too_short() -> None:
    assert run_starts(np.array([0, 4, 9]), np.array([2, -3, 1])).tolist() == [0, 1, 9]
    assert run_starts(np.array([0]), np.array([0])).tolist() == []


def test_the_790k_corpus_fits_without_materialised_windows() -> None:
    """726,014 windows cost 4 bytes each beside the chunks: 2.23 GB of float32 chunks, half of it in float16."""
    chunks, dim = 726_019, 768
    vectors = np.broadcast_to(np.float32(0), (chunks, dim))
    windows = Corpus("790k", vectors, np.zeros(chunks, dtype=np.int32)).windows(5)
    assert len(windows) == 726_014
    assert windows.starts is not None
    assert chunks * dim * 4 + windows.starts.nbytes + windows.corpus.article.nbytes < 2.5e9
