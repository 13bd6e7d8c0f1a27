"""Tiny runs of the vector trainer, and how tests read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lvmcheck.run import events as ev
from lvmcheck.run.directory import load
from lvmcheck.run.info import make_run
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.view import Run
from models.checkpoints.checkpoint import published
from models.checkpoints.load import read
from models.trainers.vector import train

TINY: dict[str, Any] = {
    "model": {"kind": "amn", "d_model": 16, "hidden_dim": 32},
    "data": {"source": "twin", "dim": 64, "sequences": 300, "val_sequences": 80, "ood_sequences": 40},
    "loss": {"mse": 1.0},
    "epochs": 3,
    "batch_size": 32,
    "lr": 2e-3,
    "device": "cpu",
    "window": 4,
}
STEPS = 10  # of an epoch: 9 batches of 32 and one of 12
Judge = Callable[[Recorder, bool], None]


def run(folder: Path, config: dict[str, Any], *, judge: Judge | None = None, resume: Path | None = None) -> Run:
    if resume is None:
        make_run(folder, {"config": config, "seed": config.get("seed", 0)})
    with Recorder(folder, window=int(config["window"]), judge=judge, resume=resume) as rec:
        rec.begin()
        train(config, rec)
    return load(folder)


def stop_after(step: int) -> Judge:
    """A judge that asks to stop when the window that ends with ``step`` has arrived."""

    def judge(rec: Recorder, epoch_ended: bool) -> None:  # noqa: ARG001 - the signature a judge has
        if rec.steps >= step:
            rec.ask_to_stop(f"test, at step {step}")

    return judge


def of(done: Run, kind: type[ev.Event]) -> list[Any]:
    return [event for event in done.events if isinstance(event, kind)]


def curves(done: Run) -> list[dict[str, str]]:
    """Every metric of every epoch, to the bit."""
    return [{name: value.hex() for name, value in event.metrics.items()} for event in of(done, ev.Epoch)]


def final_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Weights and training state of the last checkpoint."""
    checkpoint = read(published(folder / "checkpoints", "last")[-1])
    assert checkpoint.state is not None
    return {**checkpoint.weights, **checkpoint.state.tensors}


MIXED: dict[str, Any] = {
    **TINY,
    "loss": {"mse": 0.5, "info_nce": 0.25, "moment": 0.0, "variance": 0.001},
    "schedule": "cosine",
    "warmup_steps": 3,
    "lr_min": 1e-5,
    "term_grads_every": 7,
}
