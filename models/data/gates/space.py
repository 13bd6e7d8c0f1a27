"""Whether two sets of vectors lie in one space: the question that similarity inside each set cannot answer.

A rotation (another encoder, another build of it) keeps every cosine inside a set. What it cannot keep is how the
variance is spread over the directions of the training set: an encoder has strong and weak directions of its own, on
any text, while in another's space all are alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.baselines import blocks, sample
from models.data.store import Windows

SAMPLE = 4_000  # targets a covariance is estimated on
TOP = 16  # principal directions whose overlap is reported
FLOOR = 1e-4  # times the mean variance: directions below are rounding


@dataclass(frozen=True)
class Shape:
    """Mean [D] and covariance [D, D] of a sample of unit vectors."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, windows: Windows) -> Shape:
        """Of the targets of at most SAMPLE windows."""
        chosen = sample(windows, SAMPLE, seed=2)
        total, scatter = np.zeros(windows.dim), np.zeros((windows.dim, windows.dim))
        for _, target in blocks(chosen):
            total += target.sum(axis=0, dtype=np.float64)
            scatter += target.T @ target
        mean = total / max(len(chosen), 1)
        return cls(mean, scatter / max(len(chosen), 1) - np.outer(mean, mean), len(chosen))

    @property
    def length(self) -> float:
        """Root mean square length of a vector."""
        return float(np.sqrt(np.trace(self.covariance) + self.mean @ self.mean))

    def principal(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variances [D], largest first, and directions [D, D] in columns."""
        values, vectors = np.linalg.eigh(self.covariance.astype(np.float32))
        return values[::-1].astype(np.float64), vectors[:, ::-1].astype(np.float64)


def space_facts(
    train: Shape, variances: NDArray[np.float64], directions: NDArray[np.float64], other: Shape
) -> dict[str, float | int | str]:
    """Agreement of ``other`` with the training set, whose principal directions are given.

    ``space_alignment`` is the correlation, over all principal directions of the training set, of the logarithms of
    both variances: 1 is the same encoder on the same text, 0 unrelated spaces (deviation 1 / sqrt(D)).
    ``space_mean_kept`` is the part of the training set's mean vector, of length ``space_mean_length``, that the other
    set's mean has; ``space_length`` is its root mean square length in units of the training set's.
    """
    there = np.einsum("dk,dk->k", directions, other.covariance @ directions)
    top = other.principal()[1][:, :TOP]
    overlap = float(((directions[:, :TOP].T @ top) ** 2).sum()) / min(TOP, len(variances))
    return {
        "space_alignment": log_correlation(variances, there),
        "space_overlap": overlap,
        "space_overlap_chance": min(TOP, len(variances)) / len(variances),
        "space_captured": float(there[:TOP].sum() / max(float(np.trace(other.covariance)), 1e-30)),
        "space_mean_cosine": _cosine(train.mean, other.mean),
        "space_mean_kept": float(train.mean @ other.mean) / max(float(train.mean @ train.mean), 1e-30),
        "space_mean_length": float(np.linalg.norm(train.mean)),
        "space_length": other.length / max(train.length, 1e-30),
    }


def log_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson correlation of logarithms, NaN where one is constant; values are at least FLOOR times their mean."""
    logs = [np.log(np.maximum(values, FLOOR * max(float(values.mean()), 1e-30))) for values in (a, b)]
    centred = [values - values.mean() for values in logs]
    return _cosine(centred[0], centred[1])


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths > 0 else float("nan")
