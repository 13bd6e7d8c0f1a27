"""An exchange between ranks, timed on each."""

from __future__ import annotations

import time

import torch
import torch.distributed as dist


def seconds(backend: str, numbers: int, rounds: int) -> float:
    """Seconds of one all_reduce of so many float32 numbers, after one that does not count."""
    dist.init_process_group(backend)
    on_device = backend == "nccl" or torch.cuda.is_available()
    if on_device:
        torch.cuda.set_device(dist.get_rank() % torch.cuda.device_count())
    values = torch.ones(numbers, device="cuda" if on_device else "cpu")
    dist.all_reduce(values)
    began = time.perf_counter()
    for _ in range(rounds):
        dist.all_reduce(values)
    if on_device:
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / rounds
