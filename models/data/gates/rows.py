"""One pass over all rows of a corpus: faults, lengths, fingerprints, neighbours, and a sketch for near-duplicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.gates.sketch import Floats, sketch_directions, sketched
from models.data.hashing import hash_block
from models.data.mmap import blocks
from models.data.store import Corpus, FloatArray

Mask = NDArray[np.bool_]
BLOCK = 8192


@dataclass(frozen=True)
class Scan:
    """What the pass found, one entry a row [M].

    Attributes:
        nonfinite: holds a NaN or an infinity.
        zero: is all zero.
        norms: Euclidean length; NaN where non-finite.
        hashes: :func:`models.data.hashing.hash_block` of the stored bits.
        adjacent: cosine of row i and row i + 1, [M - 1], whatever their articles; NaN where either has no direction.
        sketch: :func:`models.data.gates.sketch.sketched`, [M, K + 1]; NaN where it has no direction.
    """

    nonfinite: Mask
    zero: Mask
    norms: Floats
    hashes: NDArray[np.uint64]
    adjacent: Floats
    sketch: Floats

    @property
    def sound(self) -> Mask:
        """Rows that have a direction."""
        return ~(self.nonfinite | self.zero)


def scan(corpus: Corpus, directions: Floats | None = None) -> Scan:
    """Read every row once, in blocks; needs about 110 bytes a row beside the data.

    Args:
        directions: of the sketches, orthonormal [D, K]; fixed ones where None. Only sketches of the same directions can
            be compared.
    """
    rows = len(corpus)
    directions = sketch_directions(corpus.dim) if directions is None else directions
    found = Scan(
        np.zeros(rows, dtype=bool),
        np.zeros(rows, dtype=bool),
        np.empty(rows, dtype=np.float32),
        np.empty(rows, dtype=np.uint64),
        np.empty(max(rows - 1, 0), dtype=np.float32),
        np.empty((rows, directions.shape[1] + 1), dtype=np.float32),
    )
    before: Floats | None = None
    for start, stored in blocks(corpus.vectors, BLOCK):
        part = slice(start, start + len(stored))
        found.hashes[part] = hash_block(stored)
        unit, norms = directed(stored)
        found.nonfinite[part] = np.isnan(norms)
        found.zero[part] = norms == 0
        found.norms[part] = norms
        found.sketch[part] = sketched(unit, directions)
        found.adjacent[start : part.stop - 1] = np.einsum("nd,nd->n", unit[:-1], unit[1:])
        if before is not None:
            found.adjacent[start - 1] = before @ unit[0]
        before = unit[-1].copy()
    return found


def directed(stored: FloatArray) -> tuple[Floats, Floats]:
    """Unit vectors [n, D] in float32 and lengths [n]; a row without direction is NaN, and so is a non-finite length."""
    wide = np.array(stored, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))
        odd = np.flatnonzero(~((norms > 1e-15) & (norms < 1e15)))  # squares that float32 cannot hold, or real faults
        exact = np.linalg.norm(wide[odd].astype(np.float64), axis=1)
        exact[~np.isfinite(wide[odd]).all(axis=1)] = np.nan
        norms[odd] = exact.astype(np.float32)
        wide /= np.where((norms > 0) & np.isfinite(norms), norms, np.nan)[:, None]
    return wide, norms


def row_facts(corpus: Corpus, found: Scan, tolerance: float = 1e-2) -> dict[str, float | int | str]:
    """Counts of faulty rows with the first of each, the worst length and the exact duplicates of a corpus."""
    norms = found.norms[found.sound]
    off = found.sound & ~(np.abs(found.norms - 1.0) <= tolerance)
    facts: dict[str, float | int | str] = {
        "rows": len(corpus),
        "nonfinite_rows": int(found.nonfinite.sum()),
        "zero_rows": int(found.zero.sum()),
        "off_norm_rows": int(off.sum()),
        "duplicate_rows": int(len(norms) - len(np.unique(found.hashes[found.sound]))),
    }
    if len(norms):
        facts |= {
            "norm_deviation": float(np.abs(norms - 1.0).max()),
            "norm_low": float(norms.min()),
            "norm_high": float(norms.max()),
            "norm_mean": float(norms.mean(dtype=np.float64)),
        }
    for name, mask in (("nonfinite", found.nonfinite), ("zero", found.zero), ("off_norm", off)):
        if mask.any():
            facts[f"first_{name}_row"] = int(mask.argmax())
    return facts
