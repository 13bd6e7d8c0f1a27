"""The process a run trains in: device, threads, seeds and deterministic algorithms, put back afterwards."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from lvmcheck.errors import InputError
from lvmcheck.testing.devices import present, tf32

FALLBACK = "PYTORCH_ENABLE_MPS_FALLBACK"


def pick_device(name: str, where: str = "trainer vector") -> torch.device:
    """The device of that name; "auto" takes cuda, then mps, then the CPU. ``where`` is who asks, for the error.

    Raises:
        InputError: this machine does not have it, or what it cannot do would silently run elsewhere.
    """
    if name == "auto":
        name = next(kind for kind, here in present().items() if here)
    if not present().get(name, False):
        here = ", ".join(sorted(kind for kind, found in present().items() if found))
        raise InputError(where, f"no device {name!r} here; there is: {here}", key="run.device")
    if name == "mps" and os.environ.get(FALLBACK, "0") not in ("", "0"):
        problem = f"{FALLBACK} is set: operations that MPS does not have would run on the CPU, and nothing would say so"
        raise InputError(where, problem, key="run.device", fix=f"Unset {FALLBACK}; torch then names the operation.")
    return torch.device(name)


@contextmanager
def precise(precision: str, device: torch.device, where: str = "trainer vector") -> Iterator[None]:
    """Products of float32 on CUDA in TF32 where ``precision`` is "tf32", in whole float32 elsewhere.

    Raises:
        InputError: "tf32" on a device that has none.
    """
    if precision == "tf32" and device.type != "cuda":
        raise InputError(where, f"only cuda has tf32, the device is {device.type}", key="run.precision")
    with tf32(precision == "tf32"):
        yield


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Products in bfloat16 where ``precision`` is "bf16"; sums and losses stay in float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


DEFAULT, ERROR = 0, 2
"""Modes of torch.set_deterministic_debug_mode."""


def _deterministic(mode: int) -> None:
    """As ``torch.use_deterministic_algorithms``, but tells torch's compiler only where it is imported, which takes as
    long as importing torch.
    """
    torch.set_deterministic_debug_mode(mode)
    compiler: Any = sys.modules.get("torch._inductor.config")
    if compiler is not None:
        compiler.deterministic = mode != DEFAULT


@contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Seeds Python, numpy and torch, fixes the number of threads and turns on deterministic algorithms.

    Threads and determinism are put back at the end; the random states are not, as after any training.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; without it cuBLAS may vary
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(
        "error"
    )  # as use_deterministic_algorithms, which imports torch's compiler for 1.3 s
    memory.fill_uninitialized_memory = False  # it only hides reads of memory nobody wrote
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        _deterministic(before[1])
        memory.fill_uninitialized_memory = fill


@contextmanager
def reported_only() -> Iterator[None]:
    """Inside, operations may run that have no deterministic version on CUDA: for what no later step depends on."""
    before = torch.get_deterministic_debug_mode()
    _deterministic(DEFAULT)
    try:
        yield
    finally:
        _deterministic(before)
