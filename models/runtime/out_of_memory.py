"""A device that runs out of memory: said once, with the batch size that would fit."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from lvmcheck.errors import InputError

SIGNS = ("out of memory", "not enough memory", "can't allocate memory")  # CUDA has a type for it, CPU and MPS words


def ran_out(problem: BaseException) -> bool:
    """Whether an exception says that a device, or this machine, has no memory left."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(problem, RuntimeError) and any(sign in str(problem) for sign in SIGNS)


def largest(size: int, attempt: Callable[[int], object]) -> int | None:
    """The largest of ``size / 2``, ``size / 4`` ... 1 that ``attempt`` survives; None when not even one row does."""
    while (size := size // 2) >= 1:
        _let_go()
        try:
            attempt(size)
        except (RuntimeError, MemoryError) as problem:
            if not ran_out(problem):
                raise
        else:
            return size
    return None


@contextmanager
def enough(where: str, size: int, attempt: Callable[[int], object]) -> Iterator[None]:
    """Inside, running out of memory at batches of ``size`` becomes one error.

    Args:
        where: who says so. attempt: a forward and backward pass on that many rows, for finding out what fits.

    Raises:
        InputError: memory ran out; names the batch size that fits.
    """
    message = ""
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        if not ran_out(problem):
            raise
        message = (str(problem).splitlines() or ["no memory left"])[0]
    if message:  # outside the handler, so that what the failed step held can be freed
        fits = largest(size, attempt)
        fix = f"batch_size = {fits} fits." if fits else "Not even one row fits: take a smaller model."
        raise InputError(where, f"no memory left at {size} rows a batch: {message}", key="run.batch_size", fix=fix)


def _let_go() -> None:
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
