"""Facts about the data of a classifier or of a tokenised text, measured on rows and labels before training.

Facts, all below ``table.``:

==========================  ==========================================================================================
``train_rows, val_rows``    rows of each split
``val_rows_in_train``       share of validation rows that stand bit for bit in training
``duplicate_rows``          share of training rows that repeat an earlier one
``train_shares``            share of each class in training, by class; ``val_shares`` the same in validation
``equal_neighbours``        share of consecutive training rows with one label; ``equal_by_chance`` what shuffling gives
``neighbour_accuracy``      accuracy of the nearest training row's label on held-out training rows (at most 2,000)
``shuffled_accuracy``       the best of 20 repetitions with shuffled labels
==========================  ==========================================================================================
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from lvmcheck.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.generic]

SAMPLE = 2000
"""Rows among which nearest neighbours are looked for: 2,000 by 2,000 distances take milliseconds."""
WIDTH = 64
"""Wider rows are projected at random to so many columns before distances are taken."""
SHUFFLES = 20


def measure(train: tuple[Any, Any] | Any, val: tuple[Any, Any] | Any | None = None) -> dict[str, Any]:
    """Facts of a data set.

    Args:
        train: rows [N, ...], or rows and labels [N].
        val: the same of the validation split, where there is one.

    Raises:
        InputError: no rows, labels of another length, or splits whose rows have different shapes.
    """
    rows, labels = _split("train", train)
    found: dict[str, Any] = {"table.train_rows": len(rows), "table.duplicate_rows": _repeated(rows)}
    if val is not None:
        val_rows, val_labels = _split("val", val)
        if val_rows.shape[1:] != rows.shape[1:]:
            problem = f"expected rows of shape {list(rows.shape[1:])} as in train, got {list(val_rows.shape[1:])}"
            raise InputError("table", problem, key="val")
        known = set(_digests(rows))
        hits = sum(digest in known for digest in _digests(val_rows))
        found |= {"table.val_rows": len(val_rows), "table.val_rows_in_train": hits / len(val_rows)}
        if val_labels is not None:
            found["table.val_shares"] = _shares(val_labels)
    if labels is not None:
        found["table.train_shares"] = _shares(labels)
        found |= _order(labels) | _alignment(rows, labels)
    return found


def _split(name: str, data: Any) -> tuple[Rows, NDArray[np.int64] | None]:
    import numpy as np

    given = data if isinstance(data, tuple) else (data,)
    arrays = [np.asarray(part.detach().cpu() if hasattr(part, "detach") else part) for part in given]
    if not 1 <= len(arrays) <= 2 or not arrays[0].size or not arrays[0].ndim:
        raise InputError("table", "expected rows, or rows and labels, got none", key=name)
    if len(arrays) == 1:
        return arrays[0], None
    rows, labels = arrays[0], arrays[1].ravel()
    if len(labels) != len(rows):
        raise InputError("table", f"expected {len(rows):,} labels, one a row, got {len(labels):,}", key=name)
    if not np.issubdtype(labels.dtype, np.integer) and labels.dtype != bool:
        raise InputError("table", f"expected integer labels, got {labels.dtype}", key=name)
    return rows, labels.astype(np.int64)


def _digests(rows: Rows) -> list[bytes]:
    import numpy as np

    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in flat]


def _repeated(rows: Rows) -> float:
    return 1 - len(set(_digests(rows))) / len(rows)


def _shares(labels: NDArray[np.int64]) -> dict[str, float]:
    import numpy as np

    values, counts = np.unique(labels, return_counts=True)
    return {str(value): float(count / len(labels)) for value, count in zip(values, counts, strict=True)}


def _order(labels: NDArray[np.int64]) -> dict[str, float]:
    import numpy as np

    if len(labels) < 2:
        return {}
    counts = np.unique(labels, return_counts=True)[1]
    chance = float((counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1)))
    return {"table.equal_neighbours": float((labels[1:] == labels[:-1]).mean()), "table.equal_by_chance": chance}


def _alignment(rows: Rows, labels: NDArray[np.int64]) -> dict[str, float]:
    """Whether rows that are near have one label more often than shuffled labels would."""
    import numpy as np

    if len(rows) < 2 or not np.issubdtype(rows.dtype, np.number):
        return {}
    generator = np.random.Generator(np.random.PCG64(0))
    chosen = generator.permutation(len(rows))[:SAMPLE]
    points = rows[chosen].reshape(len(chosen), -1).astype(np.float64)
    if points.shape[1] > WIDTH:
        points = points @ generator.standard_normal((points.shape[1], WIDTH))
    points = (points - points.mean(axis=0)) / np.maximum(points.std(axis=0), 1e-12)
    square = (points**2).sum(axis=1)
    distances = square[:, None] + square[None, :] - 2 * points @ points.T
    np.fill_diagonal(distances, np.inf)
    nearest, own = distances.argmin(axis=1), labels[chosen]
    shuffled = [generator.permutation(own) for _ in range(SHUFFLES)]
    return {
        "table.neighbour_accuracy": float((own[nearest] == own).mean()),
        "table.shuffled_accuracy": max(float((other[nearest] == other).mean()) for other in shuffled),
        "table.neighbour_rows": len(own),
    }
