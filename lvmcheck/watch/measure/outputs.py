"""What the rows of a batch or an output have in common."""

from __future__ import annotations

import torch
from torch import Tensor

ROWS, COLUMNS = 64, 512
"""Rows of a batch, and evenly spaced elements of each, that are looked at."""
WHOLE = 4096
"""Rows of an output that are summed at most."""


def rows_of(tensor: Tensor, rows: int = ROWS) -> Tensor:
    """The first rows, float32 [n, at most COLUMNS]."""
    flat = tensor.detach()[:rows].reshape(min(rows, len(tensor)), -1)
    return flat[:, :: max(1, -(-flat.shape[1] // COLUMNS))].float()


def spread(tensor: Tensor) -> Tensor:
    """Largest difference between rows, over the largest magnitude; 0 where all rows are equal."""
    rows = rows_of(tensor)
    low, high = rows.aminmax(dim=0)
    return (high - low).amax() / rows.abs().amax().clamp_min(1e-30)


def scale(tensor: Tensor) -> Tensor:
    """Mean, standard deviation, lowest and highest, and whether all are 0 or 1; float32 [5]."""
    rows = rows_of(tensor)
    low, high = rows.aminmax()
    binary = ((rows == 0) | (rows == 1)).all()
    return torch.stack([rows.mean(), rows.std(correction=0), low, high, binary.float()])


def class_rows(tensor: Tensor, rows: int) -> Tensor:
    """Logits of some positions, float32 [n, classes]: classes are dimension 1 of pictures, else the last one."""
    tensor = tensor.detach()
    if tensor.ndim >= 4:
        tensor = tensor.movedim(1, -1)
    flat = tensor.reshape(-1, tensor.shape[-1])
    return flat[:: max(1, len(flat) // rows)][:rows].float()


def sums(tensor: Tensor) -> Tensor:
    """How far sums of classes, and of rows, are from 1 at most, and the lowest value; float32 [3].

    Sums of rows are only those of a two-dimensional output, and NaN elsewhere.
    """
    rows = class_rows(tensor, ROWS)
    across = (rows.sum(1) - 1).abs().amax()
    whole = tensor.ndim == 2 and 1 < len(tensor) <= WHOLE
    down = (tensor.detach().float().sum(0) - 1).abs().amax() if whole else torch.full_like(across, float("nan"))
    return torch.stack([across, down, rows.amin()])


def views_apart(outputs: list[Tensor]) -> Tensor | None:
    """Largest difference between the embeddings of two views of a batch, over the largest value; None of one view.

    Args:
        outputs: of each call of the model in a step, [rows, features]; of a single call both views are in its rows, one
            after the other or row by row.
    """
    if len(outputs) == 2 and outputs[0].shape == outputs[1].shape:
        pairs = [(outputs[0], outputs[1])]
    elif len(outputs) == 1 and len(outputs[0]) % 2 == 0 and len(outputs[0]) >= 8:
        half = len(outputs[0]) // 2
        pairs = [(outputs[0][:half], outputs[0][half:]), (outputs[0][::2], outputs[0][1::2])]
    else:
        return None
    size = outputs[0].detach().float().abs().amax().clamp_min(1e-30)
    return (
        torch.stack([(one.detach().float() - other.detach().float()).abs().amax() for one, other in pairs]).amin()
        / size
    )
