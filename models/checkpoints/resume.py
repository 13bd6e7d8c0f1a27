"""Whether a run may continue from a checkpoint, and whether it can do so to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lvmcheck.errors import InputError
from models.checkpoints.checkpoint import Checkpoint
from models.checkpoints.load import read
from models.checkpoints.state import TrainingState


def load_to_resume(path: Path, *, config: Mapping[str, Any], data: str) -> tuple[Checkpoint, TrainingState]:
    """The checkpoint at ``path`` and its training state, which belong to the run with this config and data.

    Args:
        config: every value of the run. data: fingerprint of what it is trained on.

    Raises:
        InputError: not this run's checkpoint, changed on disk, or without training state.
    """
    checkpoint = read(path)
    theirs = checkpoint.about.config
    differing = [
        f"{key} {theirs.get(key)!r} there, {config.get(key)!r} here"
        for key in sorted({*config, *theirs})
        if config.get(key) != theirs.get(key)
    ]
    if differing:
        raise InputError(path, f"belongs to another run: {'; '.join(differing[:3])}", key="config")
    if checkpoint.about.data != data:
        got = f"{checkpoint.about.data[:12]} there, {data[:12]} here"
        raise InputError(path, f"was trained on other data: {got}", key="data")
    if checkpoint.state is None:
        raise InputError(path, "expected a checkpoint with training state, got weights alone", key="state")
    return checkpoint, checkpoint.state


def environment(device: torch.device) -> TrainingState:
    """What must be the same for a continued run to repeat the numbers of one that was not interrupted."""
    return TrainingState(values={"torch": torch.__version__, "device": device.type})


def inexact(there: TrainingState, device: torch.device) -> list[str]:
    """What differs from the environment that a checkpoint was written in, in words; empty when nothing does."""
    here = environment(device).values
    return [
        f"continued inexactly: {key} {there.values.get(key)} there, {here[key]} here"
        for key in here
        if there.values.get(key) != here[key]
    ]
