"""What predictors that learn nothing score on any task, from its targets alone: the floor that a model must beat.

Names of the facts are those that floors may use (``floor = "majority_share + 0.1"``):

=====================  ==============================================================================
``classes``            number of classes; ``chance`` is 1 / classes
``majority_share``     accuracy of always saying the most frequent class
``prior_loss``         cross-entropy of the class frequencies, in nats: the loss of a model that ignores its input
``expected_loss``      cross-entropy of equal probabilities, ln(classes) or ln(vocabulary): the loss before training
``vocabulary``         number of tokens; ``unigram_entropy`` the entropy of their frequencies, in nats
``target_variance``    mean squared error of always saying the mean
``target_mad``         mean absolute error of always saying the median
``persistence_mse``    mean squared error of saying the last value again, for a series
=====================  ==============================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from lvmcheck.errors import InputError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

Kind = Literal["classes", "tokens", "values", "series"]
KINDS = ("classes", "tokens", "values", "series")
MAX_CLASSES = 10_000
IGNORED = -100
"""Label that PyTorch's cross-entropy leaves out."""
LABELS = ("labels", "label", "targets", "target", "y")
"""Keys of a batch that is a mapping."""


def baselines(targets: Any, kind: Kind | None = None, *, classes: int | None = None) -> dict[str, float | int]:
    """Scores of the trivial predictors.

    Args:
        targets: an array, tensor or list of targets, or a loader of batches ``(inputs, targets)`` or mappings with
            ``labels``.
        kind: "classes" (integer labels), "tokens" (a tokenised text), "values" (real targets, [N] or [N, D]) or
            "series" (values in order of time); by default classes for integers and values for floats.
        classes: number of classes or tokens, where not all occur in ``targets``.

    Raises:
        InputError: no targets, targets of another kind, or targets that are not finite.
    """
    import numpy as np

    found = collect(targets)
    integers = np.issubdtype(found.dtype, np.integer) or found.dtype == bool
    chosen = kind or ("classes" if integers else "values")
    if chosen not in KINDS:
        problem = f"expected one of {', '.join(KINDS)}, got {kind!r}"
        raise InputError("baselines", problem, key="kind", fix=nearest(str(kind), KINDS))
    if chosen in ("values", "series"):
        return _values(found.astype(np.float64), series=chosen == "series")
    if not integers and not np.all(found == np.floor(found)):
        raise InputError("baselines", f"expected integers for {chosen}, got {found.dtype} numbers", key="targets")
    labels = found.astype(np.int64).ravel()
    return _labels(labels[labels != IGNORED], chosen, classes)


def collect(targets: Any) -> Array:
    """Targets as one array, whatever holds them.

    Raises:
        InputError: nothing there, or batches without targets.
    """
    import numpy as np

    if hasattr(targets, "detach"):
        targets = targets.detach().cpu().numpy()
    if not hasattr(targets, "dtype") and isinstance(targets, Iterable) and not isinstance(targets, list | tuple):
        parts = [collect(_of_batch(batch, number)) for number, batch in enumerate(targets, start=1)]
        targets = np.concatenate([np.atleast_1d(part) for part in parts]) if parts else np.empty(0)
    found = np.asarray(targets)
    if not found.size:
        raise InputError("baselines", "expected targets, got none", key="targets")
    if not (np.issubdtype(found.dtype, np.number) or found.dtype == bool):
        raise InputError("baselines", f"expected numbers, got {found.dtype}", key="targets")
    return found


def _of_batch(batch: Any, number: int) -> Any:
    if isinstance(batch, Mapping):
        key = next((key for key in LABELS if key in batch), None)
        if key is not None:
            return batch[key]
    elif isinstance(batch, list | tuple) and len(batch) >= 2:
        return batch[-1]
    elif not isinstance(batch, list | tuple):
        return batch
    got = f"keys {list(batch)}" if isinstance(batch, Mapping) else f"{len(batch)} parts"
    raise InputError("baselines", f"expected batch {number} to be (inputs, targets) or to have 'labels', got {got}")


def _labels(labels: NDArray[np.int64], kind: str, stated: int | None) -> dict[str, float | int]:
    import numpy as np

    if not labels.size or labels.min() < 0:
        got = f"{labels.min()}" if labels.size else f"none beside {IGNORED}"
        raise InputError("baselines", f"expected labels from 0, got {got}", key="targets")
    counts = np.unique(labels, return_counts=True)[1]
    count = stated if stated is not None else int(labels.max()) + 1
    if count <= labels.max():
        raise InputError(
            "baselines", f"expected more than {labels.max()}, the largest label, got {count}", key="classes"
        )
    shares = counts / counts.sum()
    entropy = float(-(shares * np.log(shares)).sum())
    common = {"majority_share": float(shares.max()), "expected_loss": math.log(count) if count > 1 else 0.0}
    if kind == "tokens":
        return {"vocabulary": count, "unigram_entropy": entropy, **common}
    if count > MAX_CLASSES:
        raise InputError("baselines", f"expected at most {MAX_CLASSES:,} classes, got {count:,}", fix='kind="tokens"?')
    return {"classes": count, "chance": 1 / count, "prior_loss": entropy, **common}


def _values(values: NDArray[np.float64], *, series: bool) -> dict[str, float | int]:
    import numpy as np

    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
        raise InputError("baselines", f"expected finite numbers, got {values[bad]} in row {bad}", key="targets")
    found = {
        "target_variance": float(values.var(axis=0).mean()),
        "target_mad": float(np.abs(values - np.median(values, axis=0)).mean()),
    }
    if series and len(values) > 1:
        found["persistence_mse"] = float((np.diff(values, axis=0) ** 2).mean())
    return {**found}
