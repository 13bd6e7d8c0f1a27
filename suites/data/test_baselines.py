"""Baselines against figures that are known without them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data import baselines
from models.data.baselines import sample
from models.data.recipes import RECIPES
from models.data.store import Corpus, Windows
from models.data.twin import Space, draw_corpus, stream

WIKITEXT = Path(__file__).resolve().parents[3] / "shared" / "data" / "vectors" / "wikitext2"


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def linear_world(count: int, dim: int = 8, seed: int = 0) -> Windows:
    """Windows whose target is exactly a rotation of a weighted mean of the context."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(99).standard_normal((dim, dim)))[0]
    context = unit(rng.standard_normal((count * 3, dim))).reshape(count, 3, dim)
    target = unit((context * np.array([0.2, 0.3, 0.9])[:, None]).sum(axis=1) @ (np.eye(dim) + 0.5 * turn))
    vectors = np.concatenate([context, target[:, None]], axis=1).reshape(-1, dim)
    return Corpus("linear", vectors, np.repeat(np.arange(count, dtype=np.int32), 4)).windows(3)


def test_persistence_and_lags_of_a_walk_on_a_circle() -> None:
    """Each chunk is the last one turned by 10 degrees: lag k has cosine cos(10 k)."""
    angle = np.deg2rad(10) * np.arange(50)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    windows = Corpus("circle", vectors, np.zeros(50, dtype=np.int32)).windows(4)
    wanted = [float(np.cos(np.deg2rad(10 * lag))) for lag in range(1, 5)]
    assert baselines.lag_profile(windows) == pytest.approx(wanted, abs=1e-6)
    assert baselines.score(windows, baselines.persistence) == pytest.approx(wanted[0], abs=1e-6)
    # The mean of four steps points at their middle, 2.5 steps before the target.
    middle = float(np.cos(np.deg2rad(25)))
    assert baselines.score(windows, baselines.mean_of_context) == pytest.approx(middle, abs=1e-6)


def test_constant_mean_cosine_is_the_length_of_the_mean_target() -> None:
    windows = linear_world(500)
    mean = baselines.mean_target(windows)
    found = baselines.score(windows, lambda _context: mean[None])
    assert found == pytest.approx(float(np.linalg.norm(mean)), abs=1e-5)


def test_linear_mixture_finds_a_linear_world() -> None:
    fitted = baselines.fit_linear(linear_world(4000))
    fresh = linear_world(1000, seed=1)
    assert baselines.score(fresh, fitted.predict) > 0.98
    assert baselines.score(fresh, baselines.mean_of_context) < 0.85
    assert fitted.weights[2] > 2 * fitted.weights[1] > 0


def test_ridge_solves_its_own_normal_equations() -> None:
    windows = linear_world(300)
    weights = baselines.mixing_weights(windows)
    moments = baselines.Moments.of(windows, weights)
    strength = 0.1
    matrix = moments.ridge(strength)
    context, target = windows.batch(slice(None))
    mixed = np.einsum("btd,t->bd", context, weights)
    u, r = mixed - mixed.mean(axis=0), (target - mixed) - (target - mixed).mean(axis=0)
    penalty = strength * np.trace(u.T @ u) / u.shape[1]

    def objective(candidate: np.ndarray) -> float:
        return float(((r - u @ candidate) ** 2).sum() + penalty * (candidate**2).sum())

    best = objective(matrix)
    rng = np.random.default_rng(0)
    assert all(objective(matrix + 0.01 * rng.standard_normal(matrix.shape)) > best for _ in range(20))


def test_the_best_strength_is_the_one_that_a_plain_search_finds() -> None:
    recipe = RECIPES["wiki_584k"]
    twin = draw_corpus(Space(recipe, 64), recipe.shares, 900, 3, stream("wiki_584k", "strength"), name="t").windows(3)
    chosen = set()
    for windows in (linear_world(400), twin, sample(twin, 300)):
        weights = baselines.mixing_weights(windows)
        last = baselines.held_out(windows)
        inner, outer = (baselines.Moments.of(windows.select(mask), weights) for mask in (~last, last))
        context, target = windows.select(last).batch(slice(None))
        u = np.einsum("btd,t->bd", context, weights) - inner.centre
        r = target - u - inner.centre - inner.sum_r / inner.count
        errors = [((r - u @ inner.ridge(strength)) ** 2).sum() for strength in baselines.STRENGTHS]
        assert baselines.best_strength(inner, outer) == baselines.STRENGTHS[int(np.argmin(errors))]
        chosen.add(baselines.best_strength(inner, outer))
    assert len(chosen) > 1  # the worlds differ in what is best for them


def test_linear_mixture_learns_nothing_where_nothing_is() -> None:
    """On independent vectors no predictor is better than 0, and the fit must not pretend otherwise."""
    vectors = unit(np.random.default_rng(0).standard_normal((6000, 32)))
    windows = Corpus("noise", vectors, np.repeat(np.arange(100, dtype=np.int32), 60)).windows(5)
    train, validation = windows.select(np.arange(0, 4000)), windows.select(np.arange(4000, len(windows)))
    assert abs(baselines.score(validation, baselines.fit_linear(train).predict)) < 0.05


def test_cosine_of_zero_and_nan() -> None:
    one = np.array([[1.0, 0.0], [0.0, 0.0], [np.nan, 1.0]], dtype=np.float32)
    two = np.array([[2.0, 0.0], [1.0, 0.0], [1.0, 0.0]], dtype=np.float32)
    found = baselines.cosine(one, two)
    assert found[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found[2])


def test_sample_is_random_and_bounded() -> None:
    windows = linear_world(300)
    chosen = baselines.sample(windows, 50)
    assert len(chosen) == 50
    assert int(chosen.rows().max()) > 600  # not the first fifty
    assert baselines.sample(windows, 300) is windows


@pytest.mark.skipif(not WIKITEXT.is_dir(), reason="../shared/data is not here")
def test_recorded_figures_of_wikitext2_are_reproduced() -> None:
    """Measured elsewhere on the recorded split: mean .211, last chunk .454, mean of five .5425, full ridge .548."""
    vectors = np.load(WIKITEXT / "vectors.npy", mmap_mode="r")
    corpus = Corpus("wikitext2", vectors, np.load(WIKITEXT / "article.npy"))
    windows = corpus.windows(5)
    with np.load(WIKITEXT / "sequences.npz") as listed:
        np.testing.assert_array_equal(windows.starts, listed["start"])
        train, validation = (windows.select(listed["split_article"] == part) for part in (0, 1))
    mean = baselines.mean_target(train)[None]
    assert baselines.score(validation, lambda _context: mean) == pytest.approx(0.211, abs=0.001)
    assert baselines.score(validation, baselines.persistence) == pytest.approx(0.454, abs=0.001)
    assert baselines.score(validation, baselines.mean_of_context) == pytest.approx(0.5425, abs=0.001)
    assert 0.555 < baselines.score(validation, baselines.fit_linear(train).predict) < 0.565
