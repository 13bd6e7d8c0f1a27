"""The tensors of a batch or an output, whatever it is nested in, and fingerprints of their rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

ROWS = 64
"""Rows of a batch that are looked at."""
ELEMENTS = 256
"""Evenly spaced elements of a row that its fingerprint is made of."""
MASK = (1 << 52) - 1
"""Fingerprints fit into the mantissa of a float64, in which numbers come from the device."""


def tensors(batch: Any, depth: int = 4) -> Iterator[Tensor]:
    """Tensors in nested tuples, lists, mappings and dataclasses, in order."""
    if isinstance(batch, Tensor):
        yield batch
    elif depth and isinstance(batch, Mapping):
        for value in batch.values():
            yield from tensors(value, depth - 1)
    elif depth and isinstance(batch, tuple | list):
        for value in batch:
            yield from tensors(value, depth - 1)
    elif depth and dataclasses.is_dataclass(batch):
        for field in dataclasses.fields(batch):
            yield from tensors(getattr(batch, field.name), depth - 1)


def first_input(inputs: Any) -> Tensor | None:
    """The first tensor with rows among the inputs of a model."""
    return next((tensor for tensor in tensors(inputs) if tensor.ndim and tensor.numel() and not tensor.is_sparse), None)


def rows_of_ids(batch: Any) -> Tensor | None:
    """What tells rows apart: the first tensor; several columns of ids at the front count together."""
    found = first_input(batch)
    if found is None or found.ndim != 1 or found.is_floating_point() or not isinstance(batch, tuple | list):
        return found
    columns = [item for item in batch if isinstance(item, Tensor) and item.shape == found.shape]
    ids = [item for item in columns if not item.is_floating_point() and not item.is_complex()]
    return torch.stack([item.long() for item in ids], dim=1) if len(ids) > 1 else found


def main_output(output: Any) -> Tensor | None:
    """The logits of an output that names them, else its first floating tensor with rows."""
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    found = [named] if isinstance(named, Tensor) else tensors(output)
    return next((tensor for tensor in found if tensor.is_floating_point() and tensor.ndim and tensor.numel()), None)


def fingerprints(batch: Tensor, rows: int = ROWS) -> Tensor:
    """An exact fingerprint of each of the first rows by the bits of its elements, int64 [n] below 2^52.

    Equal rows have equal fingerprints on every device, whatever batch they are in.
    """
    flat = batch.detach()[:rows].reshape(min(rows, len(batch)), -1)
    flat = flat[:, :: max(1, -(-flat.shape[1] // ELEMENTS))].contiguous()
    width = flat.element_size()
    view = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = flat.to(torch.uint8) if flat.dtype == torch.bool else flat
    bits = bits.view(view[width]).long() if width in view else flat.real.float().contiguous().view(torch.int32).long()
    mixed = (bits * _factors(bits.shape[1]).to(bits.device)).sum(1)
    mixed = (mixed ^ (mixed >> 29)) * 0x2545F4914F6CDD1D
    return (mixed ^ (mixed >> 32)) & MASK


@lru_cache(maxsize=64)
def _factors(count: int) -> Tensor:
    """An odd number for each element of a row, the same in every process; int64 [count]."""
    draw = torch.Generator().manual_seed(count)
    with torch.inference_mode(False):
        return torch.randint(1 << 40, 1 << 62, (count,), generator=draw, device="cpu") | 1
