"""The devices of this machine."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lvmcheck.errors import InputError, nearest


def present() -> dict[str, bool]:
    """Kinds of device, the best first, and whether this machine has one."""
    return {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}


def device_here(name: str | torch.device, where: str) -> torch.device:
    """The device of that name.

    Raises:
        InputError: no device has that name.
        unittest.SkipTest: this machine does not have it, which pytest reports as a test that is skipped.
    """
    kind, _, number = str(name).partition(":")
    if kind not in present() or not (number == "" or number.isdecimal()):
        raise InputError(where, f"no device {str(name)!r}", key="device", fix=nearest(kind, present()))
    count = torch.cuda.device_count() if kind == "cuda" else int(present()[kind])
    if int(number or 0) >= count:
        here = ", ".join(sorted(each for each, found in present().items() if found))
        raise unittest.SkipTest(f"{where}: no device {str(name)!r} here; there is: {here}")
    return torch.device(name)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Products of float32 on CUDA in TF32 or in whole float32, and what it was afterwards."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
