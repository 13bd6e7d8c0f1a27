"""What changes while a run trains, and how all of it is saved and resumed; the same for every trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from models.checkpoints.checkpoint import Description, architecture, first_non_finite, publish, snapshot
from models.checkpoints.load import restore
from models.checkpoints.resume import environment, inexact, load_to_resume
from models.checkpoints.state import (
    TrainingState,
    capture_optimizer,
    capture_random,
    pack,
    restore_optimizer,
    restore_random,
    unpack,
)
from models.runtime.metrics import SampleMean
from models.trainers.config import RunConfig
from models.trainers.weight_ema import WeightEMA

CHECKPOINTS = "checkpoints"
KEEP = {"best": 1, "last": 2, "epoch": 10**6}
"""How many checkpoints of each name are kept."""


class Stateful(Protocol):
    """A part of training with state of its own, such as a schedule."""

    def state(self) -> TrainingState:
        """All of it."""

    def load(self, state: TrainingState) -> None:
        """Restores what :meth:`state` returned."""


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: the current one, 1-based. batch: micro-batches of it that are done. step: optimizer steps in all.
        best: lowest validation loss so far. rows: one per finished epoch, for the history and for early stopping.
        sums: running means of the current epoch.
    """

    sums: SampleMean
    epoch: int = 1
    batch: int = 0
    step: int = 0
    best: float | None = None
    rows: list[dict[str, float]] = field(default_factory=list)

    def next_epoch(self) -> None:
        """Moves to the start of the next epoch."""
        self.epoch, self.batch = self.epoch + 1, 0
        self.sums = SampleMean(self.sums.names, self.sums.sums.device)

    def state(self) -> TrainingState:
        """All of it, for :meth:`load`."""
        values = {name: getattr(self, name) for name in ("epoch", "batch", "step", "best", "rows")}
        return TrainingState({"sums": self.sums.sums.cpu().clone()}, {**values, "count": self.sums.count})

    def load(self, state: TrainingState) -> None:
        """Restores what :meth:`state` returned."""
        for name in ("epoch", "batch", "step", "best", "rows"):
            setattr(self, name, state.values[name])
        self.sums.sums.copy_(state.tensors["sums"])
        self.sums.count = state.values["count"]


@dataclass(frozen=True)
class TrainState:
    """Model, optimizer and progress of a run on one device.

    Attributes:
        params: what :func:`models.registry.build` made the model from. fingerprint: of the data.
        probe: inputs whose predictions are stored in each checkpoint. ema: of the weights; inactive at decay 0.
        parts: other parts with state of their own, by their name in the checkpoint.
        tokenizer: of a language model, as its checkpoints carry it.
    """

    cfg: RunConfig
    device: torch.device
    model: nn.Module
    params: Mapping[str, Any]
    optimizer: Optimizer
    fingerprint: str
    probe: Tensor
    progress: Progress
    ema: WeightEMA
    parts: Mapping[str, Stateful]
    tokenizer: bytes | None = None

    @contextmanager
    def validated(self) -> Iterator[nn.Module]:
        """The model with the weights that are validated and saved: the averaged ones where ``ema`` is on."""
        with self.ema.applied():
            yield self.model

    def save(self, folder: Path, name: str, metrics: Mapping[str, float]) -> tuple[Path | None, str]:
        """Publishes a checkpoint below ``folder``. ``last`` can be resumed; the others hold the weights alone.

        Args:
            name: "best", "last", or "epoch", which is numbered by the epochs completed.

        Returns:
            Its path; or None and the reason: weights that are not finite are never written.
        """
        progress = self.progress
        about = Description(
            name=name,
            kind=self.cfg.model["kind"],
            params=self.params,
            architecture=architecture(self.model),
            epoch=progress.epoch - 1,
            step=progress.step,
            config=self.cfg.model_dump(mode="json"),
            data=self.fingerprint,
            metrics=dict(metrics),
        )
        training = self._training_state() if name == "last" else None
        with self.validated():
            taken = snapshot(self.model, self.probe, about, training, tokenizer=self.tokenizer)
        bad = first_non_finite(taken.weights)
        if bad:
            return None, f"checkpoint {name} not written at step {progress.step}: {bad}"
        number = about.epoch if name == "epoch" else None
        return publish(folder, taken, keep=KEEP[name], number=number), ""

    def resume(self, path: Path) -> list[str]:
        """Restores the checkpoint at ``path``, to the bit on the same machine; returns what makes that inexact.

        Raises:
            InputError: another run's checkpoint, changed on disk, or without training state.
        """
        checkpoint, state = load_to_resume(path, config=self.cfg.model_dump(mode="json"), data=self.fingerprint)
        restore(self.model, checkpoint)
        if self.ema.decay > 0:
            self.ema.load(unpack(state, "ema"))
        restore_optimizer(unpack(state, "optimizer"), self.optimizer, self.model)
        for name, part in self.parts.items():
            part.load(unpack(state, name))
        self.progress.load(unpack(state, "progress"))
        restore_random(unpack(state, "random"), self.device)
        return inexact(unpack(state, "environment"), self.device)

    def _training_state(self) -> TrainingState:
        return pack(
            progress=self.progress.state(),
            optimizer=capture_optimizer(self.optimizer, self.model),
            random=capture_random(self.device),
            environment=environment(self.device),
            **({"ema": self.ema.state()} if self.ema.decay > 0 else {}),
            **{name: part.state() for name, part in self.parts.items()},
        )
