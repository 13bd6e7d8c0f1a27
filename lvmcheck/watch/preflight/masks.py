"""Masks among the inputs of a model, and which of their positions are padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lvmcheck.watch.preflight.objective import TARGETS

OTHERS = (*TARGETS, "position_ids", "positions")
"""Inputs [N, T] that are no content."""


def masks(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Inputs [N, T] that are masks: by name, or truth values as long as another input."""
    return {path: tensor for path, tensor in inputs.items() if _is_mask(path, tensor, inputs)}


def _is_mask(path: str, tensor: Tensor, inputs: Mapping[str, Tensor]) -> bool:
    if tensor.ndim != 2 or not _binary(tensor):
        return False
    named = "mask" in path.rpartition(".")[2].lower()
    return named or (tensor.dtype == torch.bool and any(_along(tensor, o) for p, o in inputs.items() if p != path))


def _binary(tensor: Tensor) -> bool:
    return tensor.dtype == torch.bool or bool(((tensor == 0) | (tensor == 1)).all())


def _along(mask: Tensor, other: Tensor) -> bool:
    return other.ndim >= 2 and other.shape[:2] == mask.shape


def sequences(mask: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inputs [N, T, ...] that a mask belongs to: token numbers or vectors, no masks themselves."""
    return {
        path: tensor
        for path, tensor in inputs.items()
        if _along(mask, tensor) and not _is_mask(path, tensor, inputs) and path.rpartition(".")[2] not in OTHERS
    }


def padding(path: str, mask: Tensor) -> Iterator[Tensor]:
    """Where the padding may be, true for padding: by name one reading, else both.

    In PyTorch's key_padding_mask 1 is padding; in an attention_mask 0 is.
    """
    name, truth = path.rpartition(".")[2].lower(), mask.bool()
    if "pad" in name:
        yield truth
    elif "attention" in name:
        yield ~truth
    else:
        yield ~truth
        yield truth


def kept(path: str, mask: Tensor) -> bool:
    """The value of a position that is kept: from the name, else what most positions are."""
    name = path.rpartition(".")[2].lower()
    return "pad" not in name and ("attention" in name or bool(mask.float().mean() >= 0.5))
