"""The vector trainer: predicts the next chunk vector from a context of chunk vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from lvmcheck.errors import InputError
from lvmcheck.run.recorder import Recorder
from lvmcheck.testing.evaluations import term_gradient_norms
from models import registry
from models.data.dataset import Dataset, open_data
from models.data.loader import Loader, check_sizes, sample
from models.fast.fused_adamw import FusedAdamW
from models.fast.manual_loss import ManualBackward, manual_loss
from models.losses import Batch, Loss, compute_terms, weighted_total
from models.lvm.parts.vector_model import VectorModel
from models.optim.schedule import Schedule
from models.runtime import ranks
from models.runtime.flops import training_flops
from models.runtime.metrics import SampleMean, cosine
from models.runtime.parity import assert_matches_cpu
from models.runtime.session import pick_device, precise, reproducible
from models.runtime.throughput import ThroughputMeter
from models.trainers import history, reconstruction, sweep
from models.trainers.loop import run, validate_checkpoints
from models.trainers.probes import due
from models.trainers.task import Task
from models.trainers.train_state import Progress, TrainState
from models.trainers.vector_config import WHERE, Config, parse
from models.trainers.vector_validation import VectorValidation
from models.trainers.weight_ema import WeightEMA

TRAIN_SAMPLE = 2048  # training windows that are scored in evaluation mode beside validation
PROBE_ROWS = 4  # validation windows whose predictions are stored in a checkpoint
PARITY_ROWS = 32  # of validation, for the comparison of an accelerator with the CPU

Pair = tuple[Tensor, Tensor]
"""Context [B, T, D] and target [B, D]."""


def train(config: dict[str, Any], rec: Recorder) -> None:
    """Trains one run and records it; ends early, resumably, when ``rec.stop`` is true.

    Args:
        config: the [run] table (:class:`models.trainers.vector_config.Config`), with this run's ``seed``.
        rec: where the run is recorded; ``rec.resume`` names a checkpoint to resume from.

    Raises:
        InputError: a config, data or checkpoint that cannot be used, or a disk that is full.
    """
    cfg = parse(config)
    device = pick_device(cfg.device)
    with reproducible(cfg.seed, cfg.threads), precise(cfg.precision, device), ranks.joined(device, WHERE):
        run(VectorTask.make(cfg), rec)


@dataclass(frozen=True)
class VectorTask(Task[Pair]):
    """A latent vector model on windows of chunk vectors.

    Attributes:
        forward: the model, compiled where the run asks for it. manual: its hand-derived passes, where it has them.
    """

    where = WHERE
    checkpoint_metrics = ("val_loss", "val_cosine")

    cfg: Config
    data: Dataset
    state: TrainState
    schedule: Schedule
    meter: ThroughputMeter
    validation: VectorValidation
    forward: Callable[..., Any]
    manual: ManualBackward | None

    @classmethod
    def make(cls, cfg: Config) -> VectorTask:
        """Data, model and optimizer, from config and seed.

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
        train_sample = sample(first, TRAIN_SAMPLE, cfg.seed)
        probe = next(Loader(data.validation, PROBE_ROWS, device).in_order())[0].clone()
        flops = training_flops(cfg.model["kind"], params, context=first.context, width=data.dim)
        # On CUDA "reduce-overhead" records the kernels of a step as graphs and replays them.
        mode = "reduce-overhead" if device.type == "cuda" else None
        if cfg.compile:
            torch.use_deterministic_algorithms(True)  # tells the compiler, too
        forward = torch.compile(model, mode=mode, dynamic=False) if cfg.compile else model
        manual = None
        if isinstance(model, VectorModel) and isinstance(optimizer, FusedAdamW):
            plain = cfg.precision != "bf16" and not cfg.compile
            manual = model.manual_backward(optimizer.grad_buffers) if plain else None
        terms = [f"train_loss_{name}" for name, weight in cfg.loss.items() if weight > 0]
        state = TrainState(
            cfg=cfg,
            device=device,
            model=model,
            params=params,
            optimizer=optimizer,
            fingerprint=data.fingerprint,
            probe=probe,
            progress=Progress(SampleMean(("train_loss", *terms, "train_cosine"), device)),
            ema=WeightEMA(model, 0.0),
            parts={"schedule": schedule},
        )
        validation = VectorValidation(data, train_sample, cfg.eval_batch_size, device)
        return cls(cfg, data, state, schedule, ThroughputMeter(device, flops), validation, forward, manual)

    # -- what is logged once -----------------------------------------------------------------------------------------
    def metrics(self) -> tuple[str, ...]:
        return self.validation.names(self.cfg.loss)

    def notes(self) -> Iterator[str]:
        if self.device.type != "cpu":
            first = next(Loader(self.data.validation, PARITY_ROWS, torch.device("cpu")).in_order())
            parity = assert_matches_cpu(self.model, *first, self.device)
            difference = f"the {parity.what} differs most, by {parity.difference:.2g}"
            yield f"gradients and steps agree with the CPU's: {difference}"
        yield "val_loss and val_cosine are of predictions at unit length; train_loss_mse is of raw predictions"

    # -- one step ----------------------------------------------------------------------------------------------------
    def batches(self) -> Iterator[list[Pair]]:
        progress, cfg = self.state.progress, self.cfg
        windows = self.data.train_epoch(progress.epoch)
        check_sizes(windows, cfg.batch_size, cfg.loss)
        loader = Loader(windows, cfg.batch_size, self.device)
        pairs = loader.shuffled(cfg.seed, progress.epoch, first=progress.batch)
        if ranks.size() == 1:
            return ([pair] for pair in pairs)
        check_ranks_have_rows(len(windows) % loader.batch_size, ranks.size())
        return ([(context, target)] for context, target in map(ranks.part_of, pairs))

    def first_batch(self, rows: int) -> Pair:
        return Loader(self.data.train_epoch(1), rows, self.device).gather(slice(0, rows))

    def samples(self, part: Pair) -> int:
        return len(part[1])

    def set_lr(self) -> float:
        return self.schedule.before_step(self.state.progress.step)

    def loss(self, part: Pair) -> Loss:
        context, target = part
        cfg = self.cfg
        active = sum(weight > 0 for weight in cfg.loss.values())
        probed = due(self.state.progress.step + 1, cfg.term_grads_every, active)
        if self.manual is not None and not probed:
            return manual_loss(self.manual, cfg.loss, cfg.tau, context, target)
        with self.precision():
            raw, prediction = self.forward(context, return_raw=True)
        raw, prediction = raw.float(), prediction.float()
        terms = compute_terms(cfg.loss, Batch(raw, prediction, target, cfg.tau))
        loss = Loss(weighted_total(terms), terms, len(target))
        if probed:
            trained = self.state.optimizer.param_groups[0]["params"]
            loss.probes = {"term_grad_norm": term_gradient_norms(terms, trained)}
        with torch.no_grad():
            loss.metrics = {"cosine": cosine(prediction, target).mean()}
        return loss

    def averaged(self, loss: Loss) -> list[Tensor]:
        return [loss.total, *(value for _, value in loss.terms.values()), loss.metrics["cosine"]]

    # -- between the epochs ------------------------------------------------------------------------------------------
    def validate(self, rec: Recorder) -> dict[str, float]:  # noqa: ARG002
        trained = self.state.progress.sums.means()
        lr = float(self.state.optimizer.param_groups[0]["lr"])
        return {**trained, **self.validation.metrics(self.model), "lr": lr}

    def score(self, model: nn.Module) -> dict[str, float]:
        val = self.validation.score(model, self.data.validation)
        return {"val_cosine": val.cosine, "val_loss": val.loss}

    def end_epoch(self, rec: Recorder, metrics: Mapping[str, float]) -> None:
        self.schedule.after_epoch(metrics["val_loss"])
        rows = self.state.progress.rows
        rows.append(history.row(self.state.progress.epoch, metrics))
        parameters = sum(p.numel() for p in self.model.parameters())
        if ranks.number() == 0:
            history.export(rec.path / history.FILE, kind=self.cfg.model["kind"], parameters=parameters, rows=rows)

    def after_training(self, rec: Recorder) -> None:
        validate_checkpoints(self, rec)
        sweep.record(self.model, self.data, self.cfg.eval_batch_size, self.device, rec)
        reconstruction.record(self.model, self.data, self.device, rec)


def check_ranks_have_rows(last: int, count: int) -> None:
    """Raises InputError when the last batch of an epoch leaves a process without a row."""
    if 0 < last < count:
        problem = f"the last batch of an epoch has {last} rows for {count} ranks"
        raise InputError(WHERE, problem, key="run.batch_size", fix="Choose one that leaves a row for each.")


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
    for name, value, what in (("input_dim", dim, "width"), ("context", context, "context length")):
        if name in known and params.setdefault(name, value) != value:
            problem = f"expected the {what} of the data, {value}, got {params[name]}"
            raise InputError(WHERE, problem, key=f"run.model.{name}")
    return params
