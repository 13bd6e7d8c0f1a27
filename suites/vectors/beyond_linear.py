"""What is not linear in the context, in closed form: ``python -m suites.vectors.beyond_linear PATH``.

Weights of the context chunks that depend on how alike they are, alone and with one ridge map behind them, against the
weighted mean and the best linear predictor on the same split by article. The ridge strength of each map is the best on
validation, so every figure with a map is an upper bound of what it would reach.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.data import baselines
from models.data.dataset import open_data
from models.data.store import Windows

Floats = NDArray[np.float32]
Features = Callable[[Floats], Floats]
STRENGTHS = (0.1, 0.3, 1.0, 3.0)
BLOCK = 2_000


def constant(context: Floats) -> Floats:
    """[B, T, D] to [B, 1]: the same weights for every window."""
    return np.ones((len(context), 1), dtype=np.float32)


def alike(context: Floats) -> Floats:
    """[B, T, D] to [B, 1 + T (T - 1) / 2]: 1 and the cosines of the chunks with each other."""
    one, other = np.triu_indices(context.shape[1], 1)
    cosines = np.einsum("btd,bsd->bts", context, context)[:, one, other]
    return np.concatenate([constant(context), cosines], axis=1)


def fitted(context: Floats, target: Floats, features: Features) -> Callable[[Floats], Floats]:
    """The mixture of chunks whose weights are linear in the features, by least squares pooled over dimensions."""
    width = context.shape[1] * features(context[:1]).shape[1]
    gram, right = np.zeros((width, width)), np.zeros(width)
    for start in range(0, len(context), BLOCK):
        part = context[start : start + BLOCK]
        spread = (part[:, :, None, :] * features(part)[:, None, :, None]).reshape(len(part), width, -1)
        gram += np.einsum("bid,bjd->ij", spread, spread, optimize=True)
        right += np.einsum("bid,bd->i", spread, target[start : start + BLOCK], optimize=True)
    ridge = 1e-6 * np.trace(gram) / width * np.eye(width)
    weights = np.linalg.solve(gram + ridge, right).reshape(context.shape[1], -1).astype(np.float32)

    def mixed(chunks: Floats) -> Floats:
        return np.asarray(np.einsum("btd,bk,tk->bd", chunks, features(chunks), weights, optimize=True))

    return mixed


def mapped(base: Floats, inputs: Floats, target: Floats, there: Floats, more: Floats, asked: Floats) -> float:
    """Best cosine of ``there`` plus a ridge map of ``more``, fitted on what ``base`` leaves of the target."""
    centre = inputs.mean(axis=0)
    scatter = ((inputs - centre).T @ (inputs - centre)).astype(np.float64)
    rest = (target - base) - (target - base).mean(axis=0)
    right = ((inputs - centre).T @ rest).astype(np.float64)
    found = []
    for strength in STRENGTHS:
        penalty = strength * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
        weights = np.linalg.solve(scatter + penalty, right).astype(np.float32)
        found.append(mean_cosine(there + (more - centre) @ weights + (target - base).mean(axis=0), asked))
    return max(found)


def mean_cosine(predicted: Floats, target: Floats) -> float:
    return float(baselines.cosine(predicted, target).mean())


def whole(windows: Windows) -> tuple[Floats, Floats]:
    context, target = windows.batch(slice(None))
    return context, target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("path")
    data = open_data({"path": parser.parse_args().path, "context": 5}, seed=0)
    train, held = data.train_epoch(1), data.validation
    (context, target), (chunks, asked) = whole(train), whole(held)
    print(f"{len(train):,} windows to train on, {len(held):,} to validate")
    print(f"best linear {baselines.score(held, baselines.fit_linear(train).predict):.4f}")
    for name, features in (("weights", constant), ("weights by cosines", alike)):
        predict = fitted(context, target, features)
        base, there = predict(context), predict(chunks)
        every = mapped(base, context.reshape(len(context), -1), target, there, chunks.reshape(len(chunks), -1), asked)
        own = mapped(base, base, target, there, there, asked)
        print(f"{name} {mean_cosine(there, asked):.4f}, with a map {own:.4f}, with a map of all chunks {every:.4f}")


if __name__ == "__main__":
    main()
