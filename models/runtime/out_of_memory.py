"""A device that runs out of memory: one error that names the batch size that would fit."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from lvmcheck.errors import InputError

MESSAGES = ("out of memory", "not enough memory", "can't allocate memory")  # CUDA has a type for it, CPU and MPS words


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an exception says that a device, or this machine, has no memory left."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(problem, RuntimeError) and any(message in str(problem) for message in MESSAGES)


def largest_that_fits(size: int, dry_run: Callable[[int], object]) -> int | None:
    """The largest of ``size / 2``, ``size / 4`` ... 1 that ``dry_run`` has memory for; None if one is too many."""
    while (size := size // 2) >= 1:
        _free_memory()
        try:
            dry_run(size)
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
        else:
            return size
    return None


@contextmanager
def report_out_of_memory(where: str, size: int, dry_run: Callable[[int], object]) -> Iterator[None]:
    """Inside, running out of memory at batches of ``size`` becomes one error.

    Args:
        where: the trainer, for the error. dry_run: a forward and backward pass on that many rows.

    Raises:
        InputError: memory ran out; names the batch size that fits.
    """
    message = ""
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
        message = (str(problem).splitlines() or ["no memory left"])[0]
    if message:  # outside the handler, so that what the failed step held can be freed
        fits = largest_that_fits(size, dry_run)
        fix = f"batch_size = {fits} fits." if fits else "Not even one row fits: take a smaller model."
        raise InputError(where, f"no memory left at {size} rows a batch: {message}", key="run.batch_size", fix=fix)


def _free_memory() -> None:
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
