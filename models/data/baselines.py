"""Trivial and linear predictors of the next chunk: what any model has to beat on these data.

All are scored as the mean cosine of prediction and target. The constant and the linear predictor are fitted on
training windows and scored elsewhere; persistence and the mean of context fit nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.store import Windows

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Predict = Callable[[Float32], Float32]
"""Context [B, T, D] to prediction [B, D]; the length of the prediction does not matter."""
BLOCK = 1024  # windows in memory at once
FIT_CAP = 20_000  # training windows a baseline is fitted on
SCORE_CAP = 20_000  # windows a figure is measured on


def sample(windows: Windows, cap: int, seed: int = 0) -> Windows:
    """At most ``cap`` windows, drawn at random: the first n of a corpus come from few articles."""
    if len(windows) <= cap:
        return windows
    return windows.select(np.sort(np.random.default_rng(seed).choice(len(windows), cap, replace=False)))


def blocks(windows: Windows) -> Iterator[tuple[Float32, Float32]]:
    """Context and target in blocks; each block is overwritten by the next."""
    out = np.empty((min(BLOCK, max(len(windows), 1)), windows.context + 1, windows.dim), dtype=np.float32)
    for start in range(0, len(windows), BLOCK):
        yield windows.batch(slice(start, start + BLOCK), out=out)


def cosine(predicted: Float32, target: Float32) -> Float64:
    """Row-wise cosine [B] of [B, D] with [B, D] or [1, D]; 0 where either has no length, NaN where either is NaN."""
    dots = np.einsum("bd,bd->b", np.broadcast_to(predicted, target.shape), target, dtype=np.float64)
    lengths = np.linalg.norm(predicted, axis=-1).astype(np.float64) * np.linalg.norm(target, axis=-1)
    cosines: Float64 = dots / np.where(lengths == 0, 1.0, lengths)
    return cosines


def score(windows: Windows, predict: Predict) -> float:
    """Mean cosine of ``predict`` over the windows; NaN for none."""
    total = sum(float(cosine(predict(context), target).sum()) for context, target in blocks(windows))
    return total / len(windows) if len(windows) else float("nan")


def persistence(context: Float32) -> Float32:
    """The last chunk again."""
    return context[:, -1]


def mean_of_context(context: Float32) -> Float32:
    """The average of the context chunks."""
    return np.asarray(context.mean(axis=1), dtype=np.float32)


def mean_target(windows: Windows) -> Float32:
    """Mean of the targets, [D]: the best constant prediction."""
    total = np.zeros(windows.dim, dtype=np.float64)
    for _, target in blocks(windows):
        total += target.sum(axis=0, dtype=np.float64)
    return (total / max(len(windows), 1)).astype(np.float32)


def lag_profile(windows: Windows) -> list[float]:
    """Mean cosine of the target with the chunk 1, 2, ... T before it (lag 1 is the last chunk)."""
    totals = np.zeros(windows.context)
    for context, target in blocks(windows):
        for lag in range(windows.context):
            totals[lag] += float(cosine(context[:, -1 - lag], target).sum())
    return [float(total) / len(windows) for total in totals] if len(windows) else []


@dataclass(frozen=True)
class LinearMixture:
    """A weighted mean of the context followed by one linear map, both with a bias: y = y0 + (u - u0)(I + M).

    u is the weighted mean of the context. Two convex fits in closed form: first the T weights (least squares of the
    target on the context chunks), then M by ridge with the penalty on M, so that an infinite strength gives the
    weighted mean back and the fit cannot fall far below it. A full ridge on all T * D inputs has T times the
    parameters and does worse on every corpus measured (WikiText .548 against .56).
    """

    weights: Float64
    centre: Float32
    mean: Float32
    matrix: Float32
    strength: float

    def predict(self, context: Float32) -> Float32:
        """[B, T, D] to [B, D]."""
        mixed = np.einsum("btd,t->bd", context, self.weights.astype(np.float32)) - self.centre
        return np.asarray(self.mean + mixed + mixed @ self.matrix, dtype=np.float32)


STRENGTHS: tuple[float, ...] = tuple(10.0 ** (power / 2) for power in range(-8, 7))
"""Grid of the ridge strength, in units of the mean eigenvalue of the input's scatter."""


def fit_linear(windows: Windows, cap: int = FIT_CAP) -> LinearMixture:
    """Fit on at most ``cap`` windows; the strength is the best of a grid on a fifth of them, whole articles where
    there are several, and the map is then fitted again on all."""
    chosen = sample(windows, cap)
    held = held_out(chosen)
    weights = mixing_weights(chosen.select(~held))
    inner = Moments.of(chosen.select(~held), weights)
    outer = Moments.of(chosen.select(held), weights)
    everything = inner + outer
    strength = best_strength(inner, outer)
    return LinearMixture(
        weights,
        everything.centre.astype(np.float32),
        everything.mean.astype(np.float32),
        everything.ridge(strength).astype(np.float32),
        strength,
    )


def best_strength(fitted_on: Moments, scored_on: Moments) -> float:
    """The strength of STRENGTHS whose ridge has the least squared error on ``scored_on``.

    In the eigenvectors V of the input's scatter, M = V diag(w) B with w = 1 / (eigenvalues + penalty), and the error
    is w' G w - 2 w' c: one decomposition serves the whole grid.
    """
    rest = fitted_on.sum_r / fitted_on.count
    uu, ur = fitted_on.scatter(fitted_on.centre, rest)
    there_uu, there_ur = scored_on.scatter(fitted_on.centre, rest)
    values, vectors = np.linalg.eigh(uu)
    map_ = vectors.T @ ur
    quadratic = (vectors.T @ there_uu @ vectors) * (map_ @ map_.T)
    linear = (map_ * (vectors.T @ there_ur)).sum(axis=1)

    def loss(strength: float) -> float:
        weights = 1.0 / (values + fitted_on.penalty(uu, strength))
        return float(weights @ quadratic @ weights - 2.0 * weights @ linear)

    return min(STRENGTHS, key=loss)


def held_out(windows: Windows, fraction: float = 0.2) -> NDArray[np.bool_]:
    """The windows of the last articles, about ``fraction`` of all (at least one window, never all)."""
    article = windows.articles()
    edge = article[min(int(len(article) * (1.0 - fraction)), len(article) - 1)]
    mask: NDArray[np.bool_] = np.asarray(article >= edge)
    if mask.all() or not np.all(article[:-1] <= article[1:]):
        mask = np.arange(len(article)) >= int(len(article) * (1.0 - fraction))
    return mask


def mixing_weights(windows: Windows) -> Float64:
    """Least-squares weights [T] of the target on the context chunks, pooled over dimensions."""
    context_count = windows.context
    gram = np.zeros((context_count + 1, context_count + 1))
    sums = np.zeros((context_count + 1, windows.dim))
    for context, target in blocks(windows):
        block = np.concatenate([context, target[:, None]], axis=1)
        gram += np.einsum("btd,bsd->ts", block, block, optimize=True)
        sums += block.sum(axis=0, dtype=np.float64)
    gram -= sums @ sums.T / max(len(windows), 1)
    ridge = 1e-6 * np.trace(gram) / len(gram) * np.eye(context_count)
    return np.asarray(np.linalg.solve(gram[:-1, :-1] + ridge + 1e-30, gram[:-1, -1]))


@dataclass(frozen=True)
class Moments:
    """Sums over windows from which every ridge fit and its loss follow: n, sums [D], scatters [D, D]."""

    count: int
    sum_u: Float64
    sum_r: Float64
    uu: Float64
    ur: Float64
    sum_y: Float64

    @classmethod
    def of(cls, windows: Windows, weights: Float64) -> Moments:
        dim, weights32 = windows.dim, weights.astype(np.float32)
        sum_u, sum_r, sum_y = np.zeros(dim), np.zeros(dim), np.zeros(dim)
        uu, ur = np.zeros((dim, dim)), np.zeros((dim, dim))
        for context, target in blocks(windows):
            mixed = np.einsum("btd,t->bd", context, weights32)
            rest = target - mixed
            sum_u += mixed.sum(axis=0, dtype=np.float64)
            sum_r += rest.sum(axis=0, dtype=np.float64)
            sum_y += target.sum(axis=0, dtype=np.float64)
            uu += mixed.T @ mixed
            ur += mixed.T @ rest
        return cls(len(windows), sum_u, sum_r, uu, ur, sum_y)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count,
            self.sum_u + other.sum_u,
            self.sum_r + other.sum_r,
            self.uu + other.uu,
            self.ur + other.ur,
            self.sum_y + other.sum_y,
        )

    @property
    def centre(self) -> Float64:
        return self.sum_u / self.count

    @property
    def mean(self) -> Float64:
        return self.sum_y / self.count

    def scatter(self, centre: Float64, rest: Float64) -> tuple[Float64, Float64]:
        """uu and ur about given centres."""
        u0, r0 = np.outer(self.sum_u, centre), np.outer(centre, self.sum_r)
        uu = self.uu - u0 - u0.T + self.count * np.outer(centre, centre)
        return uu, self.ur - np.outer(self.sum_u, rest) - r0 + self.count * np.outer(centre, rest)

    def ridge(self, strength: float) -> Float64:
        """M minimising |r - u M|^2 + strength * mean eigenvalue * |M|^2 over centred u and r = y - u: [D, D]."""
        uu, ur = self.scatter(self.centre, self.sum_r / self.count)
        return np.asarray(np.linalg.solve(uu + self.penalty(uu, strength) * np.eye(len(uu)), ur))

    @staticmethod
    def penalty(uu: Float64, strength: float) -> float:
        """What ridge adds to every eigenvalue of the scatter ``uu``."""
        return strength * max(float(np.trace(uu)) / len(uu), 1e-30)
