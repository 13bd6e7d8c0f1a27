"""How well an order of windows is shuffled, measured against chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Spread:
    """Each figure divided by what a perfect shuffle has on average: 1 is chance.

    Attributes:
        step: distance between a window and the next one.
        same_file: how often a window and the next one lie in the same file.
        files_a_batch: files that a batch reads from.
    """

    step: float
    same_file: float
    files_a_batch: float


def spread(order: NDArray[np.integer], batch: int, files: int) -> Spread:
    """Of an order of windows that lie in equal files, one behind the other."""
    size = len(order)
    which = order * files // size
    whole = which[: size // batch * batch].reshape(-1, batch)
    distinct = (np.diff(np.sort(whole, axis=1), axis=1) != 0).sum(axis=1) + 1
    return Spread(
        step=float(np.abs(np.diff(order)).mean() / (size / 3)),
        same_file=float((np.diff(which) == 0).mean() * files),
        files_a_batch=float(distinct.mean() / (files * (1 - (1 - 1 / files) ** batch))),
    )
