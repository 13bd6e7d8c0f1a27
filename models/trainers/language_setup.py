"""What a language run consists of: data, model and optimizer on one device."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lvmcheck.errors import InputError
from models import registry
from models.data.text.curriculum import StageData, StageSpec
from models.data.text.dataset import TextData, open_text
from models.optim import config as optim_config
from models.optim.factory import build as build_optimizer
from models.optim.grad_ema import GradEMA
from models.optim.group_schedule import GroupLRScheduler
from models.runtime.session import autocast, pick_device
from models.trainers.language_config import WHERE, Config

PROBE_ROWS, PROBE_LENGTH = 4, 32  # tokens whose following logits are stored in a checkpoint


@dataclass(frozen=True)
class LanguageSetup:
    """The parts of a run.

    Attributes:
        stages: the records of each stage. notes: what a reader of the run must know of them. plan: for each epoch, the
            index of its stage.
        grad_ema: the gradient's running mean as the probes see it, where the optimizer has a filter.
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
    schedule: GroupLRScheduler
    grad_ema: GradEMA | None
    probe: Tensor

    @classmethod
    def make(cls, cfg: Config) -> LanguageSetup:
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
        schedule = GroupLRScheduler(optimizer, cfg.schedule, total=total, warmup=cfg.warmup_steps)
        alpha = cfg.optimizer["grokfast_alpha"]
        grad_ema = None if alpha is None else GradEMA(optimizer, alpha=alpha)
        probe = next(data.validation(PROBE_ROWS)).tokens[:, :PROBE_LENGTH].clone()
        return cls(
            cfg=cfg,
            device=device,
            data=data,
            stages=tuple(stages),
            notes=tuple(notes),
            plan=plan,
            model=model,
            params=params,
            optimizer=optimizer,
            schedule=schedule,
            grad_ema=grad_ema,
            probe=probe,
        )

    def precision(self) -> AbstractContextManager[Any]:
        """The number format of the model's products."""
        return autocast(self.device, self.cfg.precision)


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
