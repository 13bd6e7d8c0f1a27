"""The language trainer: predicts the next token through a curriculum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import Tensor, nn

from lvmcheck.run.recorder import Recorder
from models.cognate.components import components
from models.cognate.objective import language_terms
from models.data.text.batches import TokenBatch
from models.data.text.dataset import TextData
from models.losses import Loss, weighted_total
from models.optim.probe import measuring
from models.runtime.metrics import SampleMean
from models.runtime.session import pick_device, precise, reproducible
from models.runtime.throughput import ThroughputMeter
from models.trainers import language_generate, language_probes, language_validation
from models.trainers.language_config import WHERE, Config, parse
from models.trainers.language_setup import LanguageSetup
from models.trainers.loop import run, validate_checkpoints
from models.trainers.task import Task
from models.trainers.train_state import Progress, TrainState
from models.trainers.weight_ema import WeightEMA


def train(config: dict[str, Any], rec: Recorder) -> None:
    """Trains one run and records it; ends early, resumably, when ``rec.stop`` is true.

    Args:
        config: the [run] table (:class:`models.trainers.language_config.Config`), with this run's ``seed``.
        rec: where the run is recorded; ``rec.resume`` names a checkpoint to resume from.

    Raises:
        InputError: a config, data or checkpoint that cannot be used, or a disk that is full.
    """
    cfg = parse(config)
    with reproducible(cfg.seed, cfg.threads), precise(cfg.precision, pick_device(cfg.device, WHERE), WHERE):
        run(LanguageTask.make(cfg), rec)


@dataclass(frozen=True)
class LanguageTask(Task[TokenBatch]):
    """A language model on packed rows of tokens, stage by stage."""

    where = WHERE
    checkpoint_metrics = ("val_loss", "exact_match")
    speed_metrics = ("tokens_per_second",)

    cfg: Config
    data: TextData
    setup: LanguageSetup
    state: TrainState
    meter: ThroughputMeter

    @classmethod
    def make(cls, cfg: Config) -> LanguageTask:
        """Data, model and optimizer, from config and seed.

        Raises:
            InputError: data, model, device or sizes that do not fit together.
        """
        setup = LanguageSetup.make(cfg)
        others = [f"train_{name}" for name, weight in cfg.loss.items() if weight > 0 and name != "ce"]
        state = TrainState(
            cfg=cfg,
            device=setup.device,
            model=setup.model,
            params=setup.params,
            optimizer=setup.optimizer,
            fingerprint=setup.data.fingerprint,
            probe=setup.probe,
            progress=Progress(SampleMean(("train_loss", *others), setup.device)),
            ema=WeightEMA(setup.model, cfg.ema),
            parts={} if setup.grad_ema is None else {"grad_ema": setup.grad_ema},
            tokenizer=setup.data.tokenizer.content(),
        )
        return cls(cfg, setup.data, setup, state, ThroughputMeter(setup.device, flops=None))

    # -- what is logged once -----------------------------------------------------------------------------------------
    def metrics(self) -> tuple[str, ...]:
        return language_validation.names(self.setup)

    def components(self) -> Mapping[str, int]:
        return components(self.model)  # type: ignore[arg-type]

    def notes(self) -> Iterator[str]:
        yield from self.setup.notes
        yield "train_loss is the mean loss of the recursion's steps; val_loss is of the step where each token halts"

    # -- one step ----------------------------------------------------------------------------------------------------
    def batches(self) -> Iterator[list[TokenBatch]]:
        progress, cfg = self.state.progress, self.cfg
        stage = self.setup.stages[self.setup.plan[progress.epoch - 1]]
        rows = stage.batches(cfg.batch_size, seed=cfg.seed, epoch=progress.epoch, first=progress.batch)
        return micro_batches(rows, cfg.accumulation)

    def first_batch(self, rows: int) -> TokenBatch:
        return next(self.setup.stages[0].batches(rows, seed=self.cfg.seed, epoch=1))

    def samples(self, part: TokenBatch) -> int:
        return part.scored

    def set_lr(self) -> float:
        return max(self.setup.schedule.before_step(self.state.progress.step).values())

    def loss(self, part: TokenBatch) -> Loss:
        batch = part.to(self.device)
        with self.precision():
            output = self.model(batch.tokens, segments=batch.segments)
            terms = language_terms(self.model, output, batch.targets, self.cfg.loss)  # type: ignore[arg-type]
            return Loss(weighted_total(terms), terms, part.scored)

    def averaged(self, loss: Loss) -> list[Tensor]:
        names = self.state.progress.sums.names
        return [loss.terms["ce" if name == "train_loss" else name.removeprefix("train_")][1] for name in names]

    def optimizer_step(self, rec: Recorder) -> None:
        """At the last step of a window, measured by the change of the parameters themselves."""
        setup, step = self.setup, self.state.progress.step
        if (step + 1) % self.cfg.window:
            setup.optimizer.step()
            return
        with measuring(setup.optimizer, setup.grad_ema) as measured:
            setup.optimizer.step()
        rec.probe("learning_rates", {**measured, **setup.schedule.probe(step)})

    # -- between the epochs ------------------------------------------------------------------------------------------
    def before_training(self, rec: Recorder) -> None:
        language_probes.before_training(self.setup, self.loss, rec)

    def begin_epoch(self, rec: Recorder) -> None:
        """Records the stage whose first epoch begins now."""
        plan, progress = self.setup.plan, self.state.progress
        index = plan[progress.epoch - 1]
        if progress.batch or (progress.epoch > 1 and index == plan[progress.epoch - 2]):
            return
        stage = self.setup.stages[index]
        rec.stage(
            index=index, name=stage.name, fingerprint=stage.fingerprint, records=stage.records, facts=stage.facts()
        )

    def validate(self, rec: Recorder) -> dict[str, float]:
        return language_validation.validation_metrics(self.setup, self.state, rec)

    def score(self, model: nn.Module) -> dict[str, float]:
        rows = self.data.validation(self.cfg.eval_batch_size)
        loss = language_validation.score(self.setup, model, rows).loss
        return {"val_loss": loss, **language_generate.exact_match(self.setup, model)}

    def after_training(self, rec: Recorder) -> None:
        with self.state.validated():
            language_probes.after_training(self.setup, rec)
        validate_checkpoints(self, rec)


def micro_batches(rows: Iterator[TokenBatch], size: int) -> Iterator[list[TokenBatch]]:
    """The micro-batches of each optimizer step: ``size`` of them, and at the end of an epoch what is left."""
    while batch := list(islice(rows, size)):
        yield batch
