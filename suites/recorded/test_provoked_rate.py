"""A learning rate that is too high, for real: least squares by gradient descent, recorded like any loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lvmcheck
from lvmcheck.causes.protocol import diagnose


def trained(folder: Path, *, lr: float, steps: int = 400) -> lvmcheck.Run:
    """Linear regression on 64 points in 4 dimensions; the largest curvature L sets the limit 2 / L of the rate."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4))
    y = x @ np.array([1.0, -2.0, 0.5, 3.0])
    curvature = float(np.linalg.eigvalsh(x.T @ x / 32).max())
    rate, w = lr * 2 / curvature, np.zeros(4)
    with lvmcheck.record(folder, config={"lr": rate}, seed=0, window=20) as rec:
        for step in range(steps):
            rest = x @ w - y
            gradient = x.T @ rest / 32
            w = w - rate * gradient
            rec.step(loss=float(rest @ rest / 64), grad_norm=float(np.linalg.norm(gradient)), lr=rate)
            if step % 100 == 99:
                rec.epoch(step // 100 + 1, train_loss=float(rest @ rest / 64))
    return lvmcheck.load(folder)


@pytest.mark.parametrize("lr", [0.05, 0.5, 0.95])
def test_below_the_limit_no_cause_is_named(tmp_path: Path, lr: float) -> None:
    assert diagnose(trained(tmp_path / "run", lr=lr)) == []


@pytest.mark.parametrize("lr", [1.01, 1.05])
def test_above_the_limit_the_rate_is_named_first(tmp_path: Path, lr: float) -> None:
    first = diagnose(trained(tmp_path / "run", lr=lr))[0]
    assert first.name == "learning_rate_too_high"
    assert any("gradient_norm" in fact.name for fact in first.evidence)
