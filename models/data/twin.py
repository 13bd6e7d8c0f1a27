"""The synthetic twin: a corpus drawn from a linear-Gaussian process whose best predictor is known in closed form.

A chunk before normalisation is x_t = sqrt(mean) mu + a + s_t + e_t, with a topic ``a`` per article, a state
``s_t = rho s_{t-1} + sqrt(1 - rho^2) g_t`` along it and noise ``e_t``. In the basis Q (column 0 is mu) every
coordinate is independent of the others, so the conditional mean of the next chunk given the context is one small
Gaussian regression per direction. No noise falls on mu, so a unit vector still tells its length before
normalisation, and the regression stays exact after it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.recipes import Recipe, Shares
from models.data.spilled import filled
from models.data.store import Corpus, Rows

Float64 = NDArray[np.float64]
BLOCK_ROWS = 8192  # rows drawn at once: bounds the scratch memory whatever the size of the corpus


@dataclass(frozen=True)
class Space:
    """Directions and spectra of a recipe at one width; the same for every article, epoch and run seed."""

    recipe: Recipe
    dim: int

    def __post_init__(self) -> None:
        need = 1 + self.recipe.rank + self.recipe.form_rank
        if self.dim < need:
            raise ValueError(f"dim must be at least {need}, got {self.dim}")

    @cached_property
    def basis(self) -> NDArray[np.float32]:
        """Orthogonal [D, D]; column 0 is the mean direction, columns 1 to rank carry topic and state."""
        rng = np.random.default_rng([self.recipe.space_seed, self.dim])
        return np.linalg.qr(rng.standard_normal((self.dim, self.dim)))[0].astype(np.float32)

    @cached_property
    def signal(self) -> Float64:
        """Share of the topic (and of the state) on each of the ``rank`` directions, [rank], sum 1."""
        weights = np.arange(1, self.recipe.rank + 1) ** -self.recipe.decay
        shares: Float64 = weights / weights.sum()
        return shares

    @cached_property
    def noise(self) -> Float64:
        """Share of the noise on each direction but the mean, [D-1], sum 1."""
        recipe = self.recipe
        shares = np.full(self.dim - 1, recipe.flat / (self.dim - 1))
        form = np.arange(1, recipe.form_rank + 1) ** -recipe.form_decay
        shares[recipe.rank : recipe.rank + recipe.form_rank] += (1.0 - recipe.flat) * form / form.sum()
        return shares

    def covariance(self, shares: Shares, steps: int) -> Float64:
        """Covariance of ``steps`` consecutive coordinates on each signal direction: [rank, steps, steps]."""
        lag = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))
        shape = shares.topic + shares.state * shares.rho**lag
        noise = shares.noise * self.noise[: self.recipe.rank]
        return self.signal[:, None, None] * shape + noise[:, None, None] * np.eye(steps)

    def regression(self, shares: Shares, context: int) -> tuple[Float64, float]:
        """Weights [rank, T] of the conditional mean on each signal direction, and the variance it explains."""
        cov = self.covariance(shares, context + 1)
        cross = cov[:, :context, context]
        weights: Float64 = np.asarray(np.linalg.solve(cov[:, :context, :context], cross[..., None])[..., 0])
        return weights, float((weights * cross).sum())

    def optimum(self, shares: Shares, context: int) -> float:
        """Cosine of the best predictor for vectors of exactly unit expected length: sqrt(explained variance)."""
        return float(np.sqrt(shares.mean + self.regression(shares, context)[1]))


@dataclass(frozen=True)
class OptimalPredictor:
    """The conditional mean of the next chunk given its context, for windows drawn with ``shares``."""

    space: Space
    shares: Shares
    context: int

    def predict(self, context: NDArray[np.float32]) -> NDArray[np.float32]:
        """[B, T, D] unit vectors in, [B, D] unit vectors out.

        The coordinate on the mean direction gives back the length before normalisation; a row where it is not
        positive (not from this process) is used as it is.
        """
        rank = self.space.recipe.rank
        basis = self.space.basis[:, : rank + 1]
        coords = context @ basis
        root = np.float32(np.sqrt(self.shares.mean))
        along = coords[..., :1]
        coords = coords[..., 1:] * np.where(along > 0.1 * root, root / np.maximum(along, 0.1 * root), 1.0)
        weights = self.space.regression(self.shares, self.context)[0].astype(np.float32)
        signal = np.einsum("btr,rt->br", coords, weights)
        mean = np.full((len(signal), 1), root, dtype=np.float32)
        predicted = np.concatenate([mean, signal], axis=1)
        predicted /= np.linalg.norm(predicted, axis=1, keepdims=True)
        return np.asarray(predicted @ basis.T, dtype=np.float32)


def article_lengths(recipe: Recipe, windows: int, context: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Chunks of each article, so that together they hold exactly ``windows`` windows: [articles]."""
    sigma, shortest = 0.6, context + 1
    lengths: list[NDArray[np.int64]] = []
    missing = windows
    while missing > 0:
        drawn = recipe.article_chunks * rng.lognormal(-(sigma**2) / 2, sigma, size=64)
        counts = np.maximum(np.rint(drawn).astype(np.int64), shortest) - context
        before = np.cumsum(counts) - counts
        counts = np.minimum(counts, missing - before)[before < missing]
        lengths.append(counts + context)
        missing -= int(counts.sum())
    return np.concatenate(lengths) if lengths else np.empty(0, dtype=np.int64)


def draw_corpus(
    space: Space,
    shares: Shares,
    windows: int,
    context: int,
    rng: np.random.Generator,
    *,
    name: str,
    dtype: type[np.float32] | type[np.float16] = np.float32,
    folder: Path | None = None,
) -> Corpus:
    """Articles holding exactly ``windows`` windows of ``context`` + 1 chunks, as unit vectors [M, D].

    They are held in memory, or in a file of ``folder`` where they are large (:func:`models.data.spilled.filled`).
    """
    lengths = article_lengths(space.recipe, windows, context, rng)
    drawn = (draw_articles(space, shares, block, rng) for block in in_blocks(lengths))
    vectors = filled(drawn, np.dtype(dtype), (int(lengths.sum()), space.dim), folder)
    article: Rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return Corpus(name, vectors, article)


def in_blocks(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The lengths of whole articles, as many at a time as BLOCK_ROWS rows hold, at least one."""
    first, ends = 0, np.cumsum(lengths)
    while first < len(lengths):
        before = ends[first] - lengths[first]
        last = max(int(np.searchsorted(ends, before + BLOCK_ROWS, side="right")), first + 1)
        yield lengths[first:last]
        first = last


def draw_articles(
    space: Space, shares: Shares, lengths: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Unit vectors of whole articles, one after the other: [sum(lengths), D]."""
    rank, rows = space.recipe.rank, int(lengths.sum())
    coords = np.empty((rows, space.dim), dtype=np.float32)
    coords[:, 0] = np.sqrt(shares.mean)
    coords[:, 1:] = rng.standard_normal((rows, space.dim - 1), dtype=np.float32)
    coords[:, 1:] *= np.sqrt(shares.noise * space.noise).astype(np.float32)
    spread = np.sqrt(space.signal).astype(np.float32)
    topic = rng.standard_normal((len(lengths), rank), dtype=np.float32) * np.float32(np.sqrt(shares.topic))
    persistent = np.repeat(topic, lengths, axis=0)
    persistent += np.float32(np.sqrt(shares.state)) * draw_states(lengths, rank, shares.rho, rng)
    coords[:, 1 : rank + 1] += persistent * spread
    vectors = coords @ space.basis.T
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def draw_states(lengths: NDArray[np.int64], rank: int, rho: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Stationary AR(1) paths of unit variance, one per article: [sum(lengths), rank]."""
    states = rng.standard_normal((int(lengths.sum()), rank), dtype=np.float32)
    first = np.cumsum(lengths) - lengths
    kick = np.float32(np.sqrt(1.0 - rho**2))
    for step in range(1, int(lengths.max(initial=1))):
        rows = first[lengths > step] + step
        states[rows] = np.float32(rho) * states[rows - 1] + kick * states[rows]
    return states


def stream(recipe_name: str, *parts: int | str) -> np.random.Generator:
    """An independent generator for (recipe, purpose, seed, epoch); the same on every machine and Python."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in (recipe_name, *parts)]
    return np.random.default_rng(words)
