"""What a language run consists of, and how all of it is saved and continued."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

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
from models.data.text.curriculum import StageData, StageSpec
from models.data.text.dataset import TextData, open_text
from models.metrics import SampleMean
from models.optim import config as optim_config
from models.optim.factory import build as build_optimizer
from models.optim.grad_ema import SlowGradient
from models.optim.group_schedule import Rates
from models.runtime.session import pick_device
from models.trainers.language_config import WHERE, Config
from models.trainers.progress import Progress
from models.trainers.weight_ema import WeightAverage

PROBE_ROWS, PROBE_LENGTH = 4, 32  # tokens whose following logits are kept in a checkpoint
KEEP = {"best": 1, "last": 2}


@dataclass(frozen=True)
class Learner:
    """The parts of a run: data, model, optimizer and schedule on one device.

    Attributes:
        stages: the records of each stage. notes: what must be said of them. plan: the stage of each epoch, its index.
        slow: the gradient's running mean as the probes see it, where the optimizer has a filter.
    """

    cfg: Config
    device: torch.device
    data: TextData
    stages: tuple[StageData, ...]
    notes: tuple[str, ...]
    plan: tuple[int, ...]
    model: nn.Module
    params: Mapping[str, Any]
    optimizer: Optimizer
    rates: Rates
    average: WeightAverage
    slow: SlowGradient | None
    probe: Tensor

    @classmethod
    def make(cls, cfg: Config) -> Learner:
        """Everything new, from config and seed.

        Raises:
            InputError: data, model, device or sizes that do not fit together.
        """
        device = pick_device(cfg.device, WHERE)
        data = open_text(cfg.data, seed=cfg.seed)
        specs = [StageSpec(s.name, s.epochs, _tuple(s.sets), s.max_difficulty, s.limit) for s in cfg.stages]
        stages, notes = data.stages(specs)
        notes += [f"stage {stage.name!r}: {note}" for stage in stages for note in stage.notes]
        plan = tuple(index for index, stage in enumerate(cfg.stages) for _ in range(stage.epochs))
        params = model_params(cfg.model, data)
        model = registry.build(cfg.model["kind"], **params).to(device)
        model.checkpointing = cfg.activation_checkpointing  # type: ignore[assignment]
        optimizer = make_optimizer(model, cfg)
        total = sum(-(-stages[index].count(cfg.batch_size) // cfg.accumulation) for index in plan)
        rates = Rates(optimizer, cfg.schedule, total=total, warmup=cfg.warmup_steps)
        average = WeightAverage(model, cfg.ema)
        alpha = cfg.optimizer["grokfast_alpha"]
        slow = None if alpha is None else SlowGradient(optimizer, alpha=alpha)
        probe = next(data.validation(PROBE_ROWS)).tokens[:, :PROBE_LENGTH].clone()
        return cls(
            cfg, device, data, tuple(stages), tuple(notes), plan, model, params, optimizer, rates, average, slow, probe
        )

    def start(self) -> Progress:
        """The beginning of the run."""
        others = [f"train_{name}" for name, weight in self.cfg.loss.items() if weight > 0 and name != "ce"]
        return Progress(SampleMean(("train_loss", *others), self.device))

    @contextmanager
    def validated(self) -> Iterator[nn.Module]:
        """The model with the weights that are validated and saved: averaged ones where the run keeps an average."""
        with self.average.applied():
            yield self.model

    @contextmanager
    def precision(self) -> Iterator[None]:
        """Where the model is called: bfloat16 products if the run asks for them; sums and losses stay in float32."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.cfg.precision == "bf16"):
            yield

    # -- saving and continuing ---------------------------------------------------------------------------------------
    def save(
        self, progress: Progress, folder: Path, name: str, metrics: Mapping[str, float]
    ) -> tuple[Path | None, str]:
        """Publishes a checkpoint; ``last`` can be continued, ``best`` holds the validated weights alone.

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
        state = self._state(progress) if name == "last" else None
        with self.validated():
            taken = snapshot(self.model, self.probe, about, state)
        bad = first_non_finite(taken.weights)
        if bad:
            return None, f"checkpoint {name} not written at step {progress.step}: {bad}"
        return publish(folder, taken, keep=KEEP[name]), ""

    def _state(self, progress: Progress) -> TrainingState:
        return pack(
            progress=progress.state(),
            optimizer=capture_optimizer(self.optimizer, self.model),
            average=TrainingState(self.average.raw(), {"steps": self.average.steps}),
            slow=TrainingState() if self.slow is None else self.slow.state(),
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
        average = unpack(state, "average")
        self.average.load(int(average.values["steps"]), average.tensors)
        restore_optimizer(unpack(state, "optimizer"), self.optimizer, self.model)
        if self.slow is not None:
            self.slow.load(unpack(state, "slow"))
        progress = self.start()
        progress.load(unpack(state, "progress"))
        restore_random(unpack(state, "random"), self.device)
        return progress, inexact(unpack(state, "environment"), self.device)


def make_optimizer(model: nn.Module, cfg: Config) -> Optimizer:
    """The optimizer of the config, over every trainable parameter."""
    table = {**cfg.optimizer, "lr": cfg.lr, "muon_lr": cfg.muon_lr}
    return build_optimizer(model, optim_config.parse(table))


def model_params(model: Mapping[str, Any], data: TextData) -> dict[str, Any]:
    """The model's parameters with the tokenizer's vocabulary.

    Raises:
        InputError: the config names another vocabulary, or rows are longer than the model's positions.
    """
    params = {key: value for key, value in model.items() if key != "kind"}
    size = data.tokenizer.vocab_size
    if params.setdefault("vocab_size", size) != size:
        problem = f"expected the vocabulary of the tokenizer, {size}, got {params['vocab_size']}"
        raise InputError(WHERE, problem, key="run.model.vocab_size")
    longest = params.setdefault("max_length", 2 * data.config.length)
    if longest < data.config.length:
        problem = f"expected at most the model's max_length of {longest} positions, got {data.config.length}"
        raise InputError(WHERE, problem, key="run.data.length")
    return params


def _tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
