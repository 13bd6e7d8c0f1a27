"""What a trainer of one kind of model brings to the training loop (:mod:`models.trainers.loop`)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from lvmcheck.run.recorder import Recorder
from models.losses import Loss
from models.runtime.session import autocast
from models.runtime.throughput import ThroughputMeter
from models.trainers.config import RunConfig
from models.trainers.train_state import TrainState

Part = TypeVar("Part")
"""A micro-batch: as much as one forward pass takes."""


class Data(Protocol):
    """What a run is trained on."""

    @property
    def name(self) -> str:
        """For reports."""

    @property
    def fingerprint(self) -> str:
        """Digest of the content."""

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the run must know."""

    def facts(self) -> dict[str, Any]:
        """Sizes, baselines and gates."""


class Task(ABC, Generic[Part]):
    """A model, its data and its loss.

    Attributes:
        where: the name of the trainer in errors. checkpoint_metrics: what a checkpoint stores of the epoch's metrics.
        speed_metrics: names under which the loop's speed is logged besides "samples per second".
    """

    where: ClassVar[str]
    checkpoint_metrics: ClassVar[tuple[str, ...]] = ("val_loss",)
    speed_metrics: ClassVar[tuple[str, ...]] = ()

    cfg: RunConfig
    data: Data
    state: TrainState
    meter: ThroughputMeter

    @property
    def model(self) -> nn.Module:
        """The model that is trained."""
        return self.state.model

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return self.state.device

    def precision(self) -> AbstractContextManager[Any]:
        """The number format of the forward pass: bfloat16 products if the run asks for them."""
        return autocast(self.device, self.cfg.precision)

    # -- what is logged once -----------------------------------------------------------------------------------------
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every epoch of this run will have."""

    def components(self) -> Mapping[str, int]:
        """Number of parameters by part of the model."""
        return {}

    def notes(self) -> Iterator[str]:
        """What a reader of the run must know about model and metrics."""
        return iter(())

    # -- one step ----------------------------------------------------------------------------------------------------
    @abstractmethod
    def batches(self) -> Iterator[list[Part]]:
        """The rest of the current epoch. A batch is a list of micro-batches: one, unless gradients are accumulated."""

    @abstractmethod
    def first_batch(self, rows: int) -> Part:
        """The first ``rows`` rows of the training data."""

    @abstractmethod
    def samples(self, part: Part) -> int:
        """What the loss of a micro-batch is the mean over."""

    @abstractmethod
    def loss(self, part: Part) -> Loss:
        """The forward pass."""

    @abstractmethod
    def averaged(self, loss: Loss) -> list[Tensor]:
        """The values that are averaged over an epoch, in the order of ``state.progress.sums.names``."""

    @abstractmethod
    def set_lr(self) -> float:
        """Sets the learning rates of the coming step and returns the one that is logged."""

    def optimizer_step(self, rec: Recorder) -> None:  # noqa: ARG002
        """Updates the weights."""
        self.state.optimizer.step()

    # -- between the epochs ------------------------------------------------------------------------------------------
    def before_training(self, rec: Recorder) -> None:
        """Once, before the first step of a new run."""

    def begin_epoch(self, rec: Recorder) -> None:
        """Before each epoch."""

    @abstractmethod
    def validate(self, rec: Recorder) -> dict[str, float]:
        """The metrics of the epoch that has just been trained."""

    @abstractmethod
    def score(self, model: nn.Module) -> dict[str, float]:
        """Validation metrics of a model that was loaded from a checkpoint."""

    def end_epoch(self, rec: Recorder, metrics: Mapping[str, float]) -> None:  # noqa: ARG002
        """After each epoch; ``state.progress.rows`` gets its row."""
        self.state.progress.rows.append({name: metrics[name] for name in self.checkpoint_metrics if name in metrics})

    def stop_early(self) -> bool:
        """Whether the validation loss has not improved for as many epochs as the config allows."""
        rule = self.cfg.early_stop
        if rule is None:
            return False
        best, waited = math.inf, 0
        for row in self.state.progress.rows:
            improved = row["val_loss"] < best - rule.min_delta
            best, waited = (row["val_loss"], 0) if improved else (best, waited + 1)
        return waited >= rule.patience

    def after_training(self, rec: Recorder) -> None:
        """Once, after the last step."""
