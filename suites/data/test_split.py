"""Splits: disjoint where they say so, and measured where they leak."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.split import at_random, by_article, in_blocks, leak
from models.data.store import Corpus, Windows


def windows_of(lengths: list[int], context: int = 3) -> Windows:
    vectors = np.random.default_rng(1).standard_normal((sum(lengths), 8)).astype(np.float32)
    article = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return Corpus("c", vectors, article).windows(context)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(4, 30), min_size=2, max_size=20), st.floats(0.02, 0.5), st.integers(0, 99))
def test_by_article_shares_no_row_and_loses_no_window(lengths: list[int], fraction: float, seed: int) -> None:
    windows = windows_of(lengths)
    split = by_article(windows, fraction, seed)
    assert len(split.train) + len(split.validation) == len(windows)
    assert len(split.train)
    assert len(split.validation)
    assert not set(split.train.articles().tolist()) & set(split.validation.articles().tolist())
    assert leak(split.train, split.validation) == 0.0


def test_by_article_depends_on_its_seed_only() -> None:
    windows = windows_of([9] * 40)
    held = [set(by_article(windows, 0.2, seed).validation.articles().tolist()) for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]
    assert len(held[0]) == 8
    assert "8 of 40 articles held out" in by_article(windows, 0.2, 0).notes[0]


def test_one_article_cannot_be_split_by_article() -> None:
    with pytest.raises(ValueError, match="at least 2 articles"):
        by_article(windows_of([20]), 0.1, 0)


def test_a_random_split_is_named_as_leaking() -> None:
    split = at_random(windows_of([60] * 10), 0.1, 0)
    share = leak(split.train, split.validation)
    assert share > 0.9
    assert split.notes == (f"random split leaks: {share:.1%} of the validation targets occur in training windows",)
    assert len(split.train) + len(split.validation) == 570


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(60, 900), st.floats(0.05, 0.3), st.integers(0, 50), st.integers(1, 6))
def test_blocks_with_a_gap_share_no_row(length: int, fraction: float, seed: int, context: int) -> None:
    split = in_blocks(windows_of([length], context), fraction, seed, blocks=2)
    assert len(split.validation) > 0
    assert not set(split.train.rows().ravel().tolist()) & set(split.validation.rows().ravel().tolist())


def test_leak_is_found_between_two_corpora_by_content() -> None:
    windows = windows_of([30, 30])
    copy = Corpus("copy", windows.corpus.vectors.copy(), windows.corpus.article).windows(3)
    train = windows.select(windows.articles() == 0)
    assert leak(train, copy) == pytest.approx(0.5)
    assert leak(train, copy.select(copy.articles() == 1)) == 0.0
