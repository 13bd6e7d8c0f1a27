"""Rows that a loader holds as tensors: their scale in training and validation, and rows that occur several times."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from lvmcheck.watch.measure.batches import fingerprints, tensors

ROWS, COLUMNS = 4096, 512
"""Rows, and evenly spaced elements of each, whose statistics are taken."""
MOST = 200_000
"""Rows that are compared with each other."""
BITS, VALUES, KINDS = 64, 32, 8
"""Bits that a row must hold, in so many different values or tokens, for equal rows to be no chance."""


def held_tensors(loader: Any) -> list[Tensor] | None:
    """The tensors of a tuple, or of a loader over a dataset of tensors, row by row; None where it holds none."""
    dataset, indices = getattr(loader, "dataset", loader), None
    if isinstance(dataset, Subset) and isinstance(dataset.dataset, TensorDataset):
        indices, dataset = torch.as_tensor(list(dataset.indices), device="cpu"), dataset.dataset
    if isinstance(dataset, TensorDataset):
        dataset = dataset.tensors
    if isinstance(dataset, Tensor):
        dataset = (dataset,)
    if not isinstance(dataset, tuple | list) or not dataset or not all(isinstance(t, Tensor) for t in dataset):
        return None
    found = [tensor for tensor in tensors(dataset) if tensor.ndim and not tensor.is_sparse]
    if len({len(tensor) for tensor in found}) != 1:
        return None
    return found if indices is None else [tensor[indices.to(tensor.device)] for tensor in found]


def columns(tensor: Tensor, rows: int = ROWS) -> Tensor:
    """Evenly spaced elements of the first rows, float32 [n, at most COLUMNS], on the CPU."""
    flat = tensor.detach()[:rows].flatten(1) if tensor.ndim > 1 else tensor.detach()[:rows, None]
    return flat[:, :: max(1, -(-flat.shape[1] // COLUMNS))].float().cpu()


def scales(train: Tensor, val: Tensor) -> dict[str, float]:
    """How means and deviations of validation differ from those of training, in the median of the features.

    ``ratio`` is that of deviations, ``shift`` the difference of means in deviations of training; ``even`` how far the
    ratio differs between features (the quartiles' distance of its logarithm), ``even_shift`` that of the shift, and
    ``standard`` the share of features with mean 0 and deviation 1 in each set.
    """
    one, other = columns(train), columns(val)
    if one.shape[1] != other.shape[1]:
        return {}
    means, deviations = (one.mean(0), other.mean(0)), (one.std(0), other.std(0))
    size = one.abs().amax().clamp_min(1e-30)
    used = (deviations[0] > 1e-6 * size) & (deviations[1] > 1e-6 * size)
    if not bool(used.any()):
        return {}
    ratio = (deviations[1] / deviations[0])[used].log()
    shift = ((means[1] - means[0]) / deviations[0])[used]
    standard = [
        ((m.abs() < 0.1) & ((d - 1).abs() < 0.1))[used].float().mean() for m, d in zip(means, deviations, strict=True)
    ]
    return {
        "ratio": math.exp(float(ratio.median())),
        "shift": float(shift.median()),
        "even": _quartiles(ratio),
        "even_shift": _quartiles(shift),
        "standard_train": float(standard[0]),
        "standard_val": float(standard[1]),
        "size_of_ratio": float(ratio.abs().median()),
        "size_of_shift": float(shift.abs().median()),
        "features": float(used.sum()),
        "rows": float(min(len(one), len(other))),
    }


def _quartiles(values: Tensor) -> float:
    low, high = torch.quantile(values, torch.tensor([0.25, 0.75], dtype=values.dtype, device=values.device)).tolist()
    return float(high - low)


def repeats(inputs: Tensor, targets: Tensor | None) -> dict[str, float]:
    """Share of rows that occur before with the same target, overall and in the class where it is least."""
    rows = inputs[:MOST]
    if not telling(inputs):
        return {}
    marks = _with_targets(fingerprints(rows, MOST).cpu(), targets)
    found = {"rows": float(len(marks)), "repeated": _repeated(marks)}
    labels = classes_of(targets)
    least = found["repeated"]
    for label in torch.unique(labels[: len(marks)]).tolist() if labels is not None else ():
        of = marks[labels[: len(marks)] == label] if labels is not None else marks
        least = min(least, _repeated(of)) if len(of) >= 4 else least
    return {**found, "least": least}


def _with_targets(marks: Tensor, targets: Tensor | None) -> Tensor:
    """A number for each row: the same for rows that are equal and have equal targets."""
    if targets is None or not targets.ndim or len(targets) < len(marks):
        return marks
    of = fingerprints(targets if targets.ndim > 1 else targets[:, None], MOST).cpu()[: len(marks)]
    same: Tensor = torch.unique(torch.stack([marks, of], 1), dim=0, return_inverse=True)[1]
    return same


def telling(rows: Tensor) -> bool:
    """Whether rows hold so much that equal ones are no chance."""
    values = len(torch.unique(columns(rows, 512)))
    bits = math.log2(max(2, values)) * (rows[0].numel() if rows.ndim > 1 else 1)
    return rows.is_floating_point() and values >= VALUES and bits >= BITS


def tokens_tell(rows: Tensor) -> bool:
    """The same of rows of tokens, in which the commonest one may be padding."""
    if rows.ndim != 2 or rows.dtype not in (torch.int64, torch.int32):
        return False
    kinds, counts = torch.unique(rows[:COLUMNS], return_counts=True)
    others = 1 - float(counts.max()) / float(counts.sum())
    return len(kinds) >= KINDS and math.log2(len(kinds)) * others * rows.shape[1] >= BITS


def _repeated(marks: Tensor) -> float:
    return 1 - len(torch.unique(marks)) / len(marks)


def classes_of(targets: Tensor | None) -> Tensor | None:
    """Labels, one for each row, where the targets are classes."""
    if targets is None or targets.is_floating_point() or targets.is_complex() or targets.numel() != len(targets):
        return None
    labels = targets.detach().reshape(-1).long().cpu()
    return labels if 2 <= len(torch.unique(labels)) <= min(100, len(labels) // 4) else None


def sorted_by(targets: Tensor | None) -> float:
    """How far rows are in the order of their targets: 1 where they are sorted, near 0 where they are mixed."""
    labels = classes_of(targets)
    if labels is not None:
        changes, kinds = int((labels[1:] != labels[:-1]).sum()), len(torch.unique(labels))
        shares = torch.bincount(labels - labels.min()).float() / len(labels)
        by_chance = (len(labels) - 1) * (1 - float(shares.square().sum()))
        return max(0.0, 1 - max(0, changes - kinds + 1) / max(1.0, by_chance))
    if targets is None or targets.numel() != len(targets) or len(targets) < 16:
        return 0.0
    order = targets.detach().reshape(-1).float().cpu().argsort().argsort().double()
    place = torch.arange(len(order), dtype=torch.float64, device="cpu")
    return abs(float(torch.corrcoef(torch.stack([order, place]))[0, 1]))
