"""What a vector run consists of, and how all of it is saved and continued."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW

from lvmcheck.errors import InputError
from models import registry
from models.checkpoints.checkpoint import Description, architecture, first_non_finite, publish, snapshot
from models.checkpoints.load import restore
from models.checkpoints.resume import environment, inexact, read_own
from models.checkpoints.state import (
    TrainingState,
    capture_optimizer,
    capture_random,
    pack,
    restore_optimizer,
    restore_random,
    unpack,
)
from models.data.dataset import Dataset, open_data
from models.data.loader import Loader, check_sizes, sample
from models.data.store import Windows
from models.fast.fused_adamw import FusedAdamW
from models.lvm.parts.vector_model import Passes, VectorModel
from models.metrics import SampleMean
from models.optim.schedule import Schedule
from models.runtime.flops import training_flops
from models.runtime.session import pick_device
from models.runtime.throughput import Pace
from models.trainers.progress import Progress
from models.trainers.vector_config import Config

EVAL_SAMPLE = 2048  # training windows that are scored in evaluation mode beside validation
PROBE_ROWS = 4  # validation windows whose predictions are kept in a checkpoint
KEEP = {"best": 1, "last": 2}


@dataclass(frozen=True)
class Learner:
    """The parts of a run: data, model, optimizer and schedule on one device."""

    cfg: Config
    device: torch.device
    data: Dataset
    model: nn.Module
    params: Mapping[str, Any]
    optimizer: AdamW
    schedule: Schedule
    eval_sample: Windows
    probe: torch.Tensor
    pace: Pace
    forward: Callable[..., Any]
    passes: Passes | None

    @classmethod
    def make(cls, cfg: Config) -> Learner:
        """Everything new, from config and seed.

        Raises:
            InputError: data, model, device or sizes that do not fit together.
        """
        device = pick_device(cfg.device)
        data = open_data(cfg.data, seed=cfg.seed)
        first = data.train_epoch(1)
        check_sizes(first, cfg.batch_size, cfg.loss)
        params = model_params(cfg.model, data.dim, first.context)
        model = registry.build(cfg.model["kind"], **params).to(device)
        optimizer = adamw(model, cfg, device)
        total = cfg.epochs * len(Loader(first, cfg.batch_size, device))
        schedule = Schedule(cfg.schedule, optimizer, total=total, lr=cfg.lr, lr_min=cfg.lr_min, warmup=cfg.warmup_steps)
        eval_sample = sample(first, EVAL_SAMPLE, cfg.seed)
        probe = next(Loader(data.validation, PROBE_ROWS, device).in_order())[0].clone()
        flops = training_flops(cfg.model["kind"], params, context=first.context, width=data.dim)
        pace = Pace(device, flops)
        # On CUDA "reduce-overhead" records the kernels of a step as graphs and replays them.
        mode = "reduce-overhead" if device.type == "cuda" else None
        forward = torch.compile(model, mode=mode, dynamic=False) if cfg.compile else model
        passes = None
        if isinstance(model, VectorModel) and isinstance(optimizer, FusedAdamW):
            plain = cfg.precision != "bf16" and not cfg.compile
            passes = model.by_hand(optimizer.room) if plain else None
        return cls(cfg, device, data, model, params, optimizer, schedule, eval_sample, probe, pace, forward, passes)

    def precision(self) -> AbstractContextManager[Any]:
        """The number format of a training step's products."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.cfg.precision == "bf16" else nullcontext()

    def start(self) -> Progress:
        """The beginning of the run."""
        terms = [f"train_loss_{name}" for name, weight in self.cfg.loss.items() if weight > 0]
        return Progress(SampleMean(("train_loss", *terms, "train_cosine"), self.device))

    # -- saving and continuing ---------------------------------------------------------------------------------------
    def save(
        self, progress: Progress, folder: Path, name: str, metrics: Mapping[str, float]
    ) -> tuple[Path | None, str]:
        """Publishes a checkpoint; ``last`` can be continued, ``best`` holds the weights alone.

        Returns:
            Its place, or None and the reason: weights that are not finite never replace finite ones.
        """
        about = Description(
            name=name,
            kind=self.cfg.model["kind"],
            params=self.params,
            architecture=architecture(self.model),
            epoch=progress.epoch - 1,
            step=progress.step,
            config=self.cfg.model_dump(mode="json"),
            data=self.data.fingerprint,
            metrics=dict(metrics),
        )
        taken = snapshot(self.model, self.probe, about, self._state(progress) if name == "last" else None)
        bad = first_non_finite(taken.weights)
        if bad:
            return None, f"checkpoint {name} not written at step {progress.step}: {bad}"
        return publish(folder, taken, keep=KEEP[name]), ""

    def _state(self, progress: Progress) -> TrainingState:
        return pack(
            progress=progress.state(),
            optimizer=capture_optimizer(self.optimizer, self.model),
            schedule=TrainingState(values=self.schedule.state()),
            random=capture_random(self.device),
            environment=environment(self.device),
        )

    def resume(self, path: Path) -> tuple[Progress, list[str]]:
        """Continues from the checkpoint at ``path``, bit by bit on the same machine; also what makes that inexact.

        Raises:
            InputError: not this run's checkpoint, changed on disk, or without training state.
        """
        mine = self.cfg.model_dump(mode="json")
        checkpoint, state = read_own(path, config=mine, data=self.data.fingerprint)
        restore(self.model, checkpoint)
        restore_optimizer(unpack(state, "optimizer"), self.optimizer, self.model)
        self.schedule.load(unpack(state, "schedule").values)
        progress = self.start()
        progress.load(unpack(state, "progress"))
        restore_random(unpack(state, "random"), self.device)
        return progress, inexact(unpack(state, "environment"), self.device)


def adamw(model: nn.Module, cfg: Config, device: torch.device) -> AdamW:
    """Fused where the device can: 1.9 times the speed at batch 32 on a CPU."""
    if device.type == "cpu":
        return FusedAdamW(model.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay)
    return AdamW(model.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay, fused=device.type == "cuda")


def model_params(model: Mapping[str, Any], dim: int, context: int) -> dict[str, Any]:
    """The model's parameters with the width of the data as ``input_dim``, and their context length where it has one.

    Raises:
        InputError: the config names another width or length.
    """
    params = {key: value for key, value in model.items() if key != "kind"}
    known = registry.source(model["kind"]).parameters
    for name, found, what in (("input_dim", dim, "width"), ("context", context, "context length")):
        if name in known and params.setdefault(name, found) != found:
            problem = f"expected the {what} of the data, {found}, got {params[name]}"
            raise InputError("trainer vector", problem, key=f"run.model.{name}")
    return params
