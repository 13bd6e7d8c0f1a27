"""Our vector trainer on a part of every batch, as torchrun would start it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lvmcheck.run.info import make_run
from lvmcheck.run.ranks import Meeting, rank, world
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.silent import SilentRecorder
from models.trainers.vector import train

CONFIG: dict[str, Any] = {
    "model": {"kind": "amn", "d_model": 16, "hidden_dim": 32},
    "data": {"source": "twin", "recipe": "wiki_584k", "context": 3, "sequences": 1632, "val_sequences": 64},
    "loss": {"mse": 1.0},
    "epochs": 2,
    "batch_size": 32,
    "seed": 0,
    "threads": 1,
    "device": "cpu",
}
"""51 steps an epoch; with the last 102 steps in all."""


def vector(path: str, **more: Any) -> dict[str, Any]:
    """Trains in this process, which is one of several where there are several."""
    folder = Path(path)
    config = {**CONFIG, **more}
    if rank() == 0:
        make_run(folder, {"config": config, "seed": 0})
    meeting = Meeting(folder, rank(), world())
    kind = SilentRecorder if rank() else Recorder
    recorder = kind(folder, meeting=meeting, window=1)
    recorder.begin()
    with recorder:
        train(config, recorder)
    return {"steps": recorder.steps, "epochs": recorder.epochs}
