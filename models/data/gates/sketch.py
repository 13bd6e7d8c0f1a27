"""A few numbers that stand for a vector, so that most pairs can be ruled out without looking at the vectors.

Orthonormal directions never lengthen a difference, and neither does the length of what they leave out: for unit
vectors x, y with sketches s, t, |x - y|^2 >= |s - t|^2. So two vectors of cosine c are at most sqrt(2 (1 - c)) apart in
the sketch, whatever the directions; those along which the data vary most rule out the most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SKETCH = 24
"""Directions of a sketch; one more number holds the length of the rest."""
SLACK = 1e-4
"""Float32 and float16 rounding of squared distances."""
ROUNDS = 3


def sketch_directions(dim: int) -> Floats:
    """Fixed orthonormal directions [D, SKETCH], the same for every corpus of a width."""
    drawn = np.random.default_rng([24, dim]).standard_normal((dim, min(SKETCH, dim)))
    return np.linalg.qr(drawn)[0].astype(np.float32)


def strong_directions(unit: Floats) -> Floats:
    """Orthonormal directions [D, SKETCH] in which a sample [n, D] of unit vectors varies most, nearly."""
    found = sketch_directions(unit.shape[1])
    if len(unit) < 2:
        return found
    centred = unit - unit.mean(axis=0)
    for _ in range(ROUNDS):
        found = np.linalg.qr(centred.T @ (centred @ found))[0]
    return np.ascontiguousarray(found, dtype=np.float32)


def sketched(unit: Floats, directions: Floats) -> Floats:
    """Sketches [n, K + 1] of unit vectors [n, D]; NaN where a row has no direction."""
    inside = unit @ directions
    rest = np.sqrt(np.maximum(1.0 - np.einsum("nk,nk->n", inside, inside), 0.0))
    return np.concatenate([inside, rest[:, None]], axis=1, dtype=np.float32)


def reach(cosine: float) -> float:
    """Squared distance that two sketches of vectors of at least this cosine cannot exceed."""
    return 2.0 * (1.0 - cosine) + SLACK
