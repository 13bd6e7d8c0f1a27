"""Several processes that train one model on parts of every batch: their group, and sums over all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from lvmcheck.errors import InputError
from models.losses import Loss


def size() -> int:
    """How many processes train this model."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def number() -> int:
    """Which of them this is; 0 writes checkpoints and the record."""
    return dist.get_rank() if size() > 1 else 0


@contextmanager
def joined(device: torch.device, where: str) -> Iterator[None]:
    """In the group of all processes that torchrun has started; alone where it has not.

    Raises:
        InputError: there are more of them than devices.
    """
    count = int(os.environ.get("WORLD_SIZE", "1")) if os.environ.get("LVMCHECK_RANKS") else 1
    if count == 1:
        yield
        return
    if device.type == "cuda":
        local, here = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= here:
            raise InputError(where, f"expected a device for each rank, got {count} ranks and {here}", key="distributed")
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def part_of(batch: Sequence[Tensor]) -> list[Tensor]:
    """The rows of this process in a batch that all of them see; of rows that do not divide some get one more."""
    ranks, rank, rows = size(), number(), len(batch[0])
    return [tensor[rank * rows // ranks : (rank + 1) * rows // ranks] for tensor in batch]


def add_up(loss: Loss, optimizer: Optimizer) -> Loss:
    """The loss of the whole batch, and its gradients, from those of each process's part.

    Gradients were made of the **sum** over samples of this part: they are added up, and divided by all samples.
    """
    values = [loss.total, *(value for _, value in loss.terms.values()), *loss.metrics.values()]
    counted = torch.stack([value.detach().double() * loss.samples for value in values])
    told = torch.cat([counted, counted.new_tensor([float(loss.samples)])])
    dist.all_reduce(told)
    samples = round(float(told[-1]))
    _add_gradients(optimizer, samples)
    means = iter((told[:-1] / samples).to(loss.total.dtype))
    total = next(means)
    terms = {name: (weight, next(means)) for name, (weight, _) in loss.terms.items()}
    metrics = {name: next(means) for name in loss.metrics}
    return Loss(total, terms, samples, metrics, loss.probes)


def _add_gradients(optimizer: Optimizer, samples: int) -> None:
    """All gradients in one exchange."""
    flat_of: Any = getattr(optimizer, "flat_gradient", None)
    flat = flat_of() if flat_of is not None else None
    if flat is not None:
        dist.all_reduce(flat)
        flat.div_(samples)
        return
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat.div_(samples)
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, summed in zip(gradients, torch.split(flat, sizes), strict=True):
        gradient.copy_(summed.view_as(gradient))
