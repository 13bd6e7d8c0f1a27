"""The twin: its geometry is the recipe's, its optimum is the optimum, and it is the same on every draw."""

from __future__ import annotations

import numpy as np
import pytest

from models.data.baselines import lag_profile, mean_of_context, mean_target, score
from models.data.recipes import RECIPES
from models.data.twin import OptimalPredictor, Space, article_lengths, draw_articles, draw_corpus, draw_states, stream

RECIPE = RECIPES["wiki_584k"]
SPACE = Space(RECIPE, 192)


@pytest.fixture(scope="module")
def drawn():
    rng = stream("wiki_584k", "test")
    return draw_corpus(SPACE, RECIPE.shares, 30_000, 5, rng, name="t").windows(5)


def test_basis_is_orthogonal_and_spectra_sum_to_one() -> None:
    np.testing.assert_allclose(SPACE.basis.T @ SPACE.basis, np.eye(192), atol=1e-5)
    assert SPACE.signal.sum() == pytest.approx(1)
    assert SPACE.noise.sum() == pytest.approx(1)
    assert RECIPE.shares.noise > 0


def test_vectors_are_unit_and_the_count_is_exact(drawn) -> None:
    assert len(drawn) == 30_000
    np.testing.assert_allclose(np.linalg.norm(drawn.corpus.vectors, axis=1), 1, atol=1e-5)


def test_lag_profile_follows_the_recipe(drawn) -> None:
    shares = RECIPE.shares
    wanted = [shares.mean + shares.topic + shares.state * shares.rho**lag for lag in range(1, 6)]
    found = lag_profile(drawn)
    np.testing.assert_allclose(found, wanted, atol=0.02)
    assert found[0] - found[4] >= 0.08
    assert found == sorted(found, reverse=True)


def test_constant_mean_is_the_root_of_its_share(drawn) -> None:
    mean = mean_target(drawn)[None]
    assert score(drawn, lambda _context: mean) == pytest.approx(RECIPE.shares.mean**0.5, abs=0.02)


def test_states_have_unit_variance_and_correlation_rho() -> None:
    rng = np.random.default_rng(3)
    states = draw_states(np.full(4000, 8), 2, 0.6, rng).reshape(4000, 8, 2)
    np.testing.assert_allclose(states.var(axis=0), 1, atol=0.08)
    np.testing.assert_allclose((states[:, 0] * states[:, 7]).mean(), 0.6**7, atol=0.05)
    np.testing.assert_allclose((states[:, 3] * states[:, 4]).mean(), 0.6, atol=0.05)


def test_conditional_mean_agrees_with_simulated_covariance() -> None:
    """Regressing drawn coordinates on each other gives the closed-form weights."""
    rng = np.random.default_rng(5)
    lengths = np.full(6000, 6)
    vectors = draw_articles(SPACE, RECIPE.shares, lengths, rng)
    coords = vectors @ SPACE.basis
    coords *= np.sqrt(RECIPE.shares.mean) / coords[:, :1]  # back to the length before normalisation
    weights, _ = SPACE.regression(RECIPE.shares, 5)
    for direction in (0, 1, 7):
        series = coords[:, 1 + direction].reshape(-1, 6).astype(np.float64)
        fitted = np.linalg.lstsq(series[:, :5], series[:, 5], rcond=None)[0]
        np.testing.assert_allclose(fitted, weights[direction], atol=0.06)
        wanted = SPACE.covariance(RECIPE.shares, 6)[direction]
        np.testing.assert_allclose(series.T @ series / len(series), wanted, atol=0.07 * wanted.max())


def test_no_linear_predictor_beats_the_optimum(drawn) -> None:
    """Least squares on all T * D inputs, fitted on 30,000 windows and scored on the windows that it was fitted on
    would be unfair to the optimum; on new ones it stays below it."""
    inputs, targets = drawn.batch(slice(None))
    flat = np.hstack([inputs.reshape(len(inputs), -1), np.ones((len(inputs), 1), dtype=np.float32)])
    gram = flat.T @ flat
    optimum = OptimalPredictor(SPACE, RECIPE.shares, 5)
    fresh = draw_corpus(SPACE, RECIPE.shares, 20_000, 5, stream("wiki_584k", "other"), name="o").windows(5)
    best = score(fresh, optimum.predict)
    for strength in (1e-4, 1e-2, 1e-1):
        penalty = strength * np.trace(gram) / len(gram)
        matrix = np.linalg.solve(gram + penalty * np.eye(len(gram), dtype=np.float32), flat.T @ targets)

        def linear(context, matrix=matrix):
            return np.hstack([context.reshape(len(context), -1), np.ones((len(context), 1))]) @ matrix

        reached = score(fresh, linear)
        assert reached <= best + 0.001
    assert best == pytest.approx(SPACE.optimum(RECIPE.shares, 5), abs=0.01)
    assert best >= score(fresh, mean_of_context) + 0.03


@pytest.mark.parametrize("change", [0.8, 1.25])
def test_optimum_weights_are_a_maximum(drawn, change: float) -> None:
    """Scaling the predicted deviation from the mean up or down only loses."""
    optimum = OptimalPredictor(SPACE, RECIPE.shares, 5)
    mean = SPACE.basis[:, 0]

    def scaled(context):
        predicted = optimum.predict(context)
        along = (predicted @ mean)[:, None] * mean
        return along + change * (predicted - along)

    assert score(drawn, scaled) < score(drawn, optimum.predict)


def test_streams_are_deterministic_and_independent() -> None:
    first, again = (stream("wiki_584k", "train", 0, 1).integers(0, 2**62, 4).tolist() for _ in range(2))
    assert first == again
    others = [
        stream("wiki_584k", *parts).integers(0, 2**62, 4).tolist() for parts in (("train", 0, 2), ("train", 1, 1))
    ]
    assert first not in others


def test_ood_articles_are_more_coherent() -> None:
    rng = stream("wiki_584k", "ood")
    ood = draw_corpus(SPACE, RECIPE.ood, 6_000, 5, rng, name="o").windows(5)
    assert lag_profile(ood)[0] == pytest.approx(0.73, abs=0.02)


def test_article_lengths_hold_exactly_the_windows() -> None:
    for windows in (1, 7, 500, 4_000):
        lengths = article_lengths(RECIPE, windows, 5, np.random.default_rng(windows))
        assert int((lengths - 5).sum()) == windows
        assert lengths.min() >= 6


def test_a_space_too_narrow_for_its_directions_is_refused() -> None:
    with pytest.raises(ValueError, match="dim must be at least 49"):
        Space(RECIPE, 48)
