"""Weights recovered from histories: right where the history decides them, none where it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.causes.protocol import diagnose
from lvmcheck.run.view import Run, run_from
from lvmcheck.run.weights import recover, with_weights

EPOCHS = 12


def history(weights: dict[str, float], *, hidden: float = 0.0, seed: int = 0, noise: float = 0.0) -> Run:
    """Terms that fall at their own pace, and the loss that they add up to."""
    rng = np.random.default_rng(seed)
    terms = {
        name: (1 + i) * (0.2 + np.exp(-rng.uniform(0.05, 0.5) * np.arange(EPOCHS))) * rng.uniform(0.97, 1.03, EPOCHS)
        for i, name in enumerate(weights)
    }
    loss = sum(weight * terms[name] for name, weight in weights.items()) + hidden
    loss = loss * (1 + noise * rng.normal(size=EPOCHS))
    said = {"train_loss": loss.tolist(), **{f"train_loss_{name}": values.tolist() for name, values in terms.items()}}
    return run_from(said)


ROUND = st.sampled_from([1.0, 0.5, 0.2, 0.1, 0.05, 2.0, 0.01])


@settings(max_examples=40, deadline=None)
@given(ROUND, ROUND, st.integers(0, 1000))
def test_weights_that_a_history_decides_are_found(first: float, second: float, seed: int) -> None:
    weights = {"mse": first, "info": second}
    found = recover(history(weights, seed=seed))
    assert found is not None
    assert dict(found.weights) == weights
    assert found.like == ""


@settings(max_examples=25, deadline=None)
@given(ROUND, st.sampled_from([0.3, 0.05, 1.0]), st.integers(0, 1000))
def test_a_hidden_constant_is_found_beside_them(weight: float, hidden: float, seed: int) -> None:
    run = history({"mse": weight}, hidden=hidden, seed=seed)
    found = recover(run)
    assert found is not None
    assert (dict(found.weights), found.like) == ({"mse": weight}, "constant")
    assert found.factor == pytest.approx(hidden, rel=1e-6)
    assert diagnose(run)[0].name == "hidden_term"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_a_loss_that_is_no_sum_gives_no_weights(seed: int) -> None:
    assert recover(history({"mse": 1.0, "info": 0.5}, seed=seed, noise=0.05)) is None


def test_what_cannot_be_decided_gives_no_weights() -> None:
    line = np.linspace(1.0, 0.5, EPOCHS)
    mse = line.tolist()
    wobble = (1 + 1e-4 * np.cos(np.arange(EPOCHS))).tolist()
    alike = run_from({"train_loss": (2 * line).tolist(), "train_loss_a": mse, "train_loss_b": (3 * line).tolist()})
    plateau = run_from({"train_loss": wobble, "train_loss_a": mse})
    short = run_from({"train_loss": mse[:3], "train_loss_a": mse[:3]})
    broken = run_from({"train_loss": mse, "train_loss_a": [math.nan, *mse[1:]]})
    stated = run_from({"train_loss": mse, "train_loss_a": mse}, config={"loss": {"a": 1.0}})
    bare = run_from({"train_loss": mse})
    zero = run_from({"train_loss": [0.0] * EPOCHS, "train_loss_a": mse})
    for run in (alike, plateau, short, broken, stated, bare, zero):
        assert recover(run) is None
        assert with_weights(run) == (run, None)


def test_terms_that_are_only_watched_have_no_weight() -> None:
    mse = np.linspace(0.0012, 0.0009, EPOCHS).tolist()
    watched = (1.3 + 0.01 * np.cos(np.arange(EPOCHS))).tolist()
    run = run_from({"train_loss": mse, "train_loss_mse": mse, "train_loss_info": watched})
    found = recover(run)
    assert found is not None
    assert dict(found.weights) == {"mse": 1.0}
    assert diagnose(run) == []
