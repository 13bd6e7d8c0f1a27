"""The language trainer: predicts the next token through a curriculum, and reports what it does."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from lvmcheck.run.recorder import Recorder
from models.checkpoints.checkpoint import architecture
from models.cognate.components import components
from models.cognate.objective import language_terms
from models.data.text.batches import TokenBatch
from models.losses import weighted_total
from models.optim.probe import measuring
from models.runtime.session import reproducible
from models.trainers import language_measure as measuring_up
from models.trainers import language_probes as probes
from models.trainers.gradients import clip
from models.trainers.language_config import parse
from models.trainers.language_learner import Learner
from models.trainers.progress import Progress

CHECKPOINTS = "checkpoints"


def train(config: dict[str, Any], rec: Recorder) -> None:
    """Trains one run and reports it; ends early, resumably, when ``rec.stop`` is true.

    Args:
        config: the [run] table (:class:`models.trainers.language_config.Config`), with this run's ``seed``.
        rec: where the run is recorded; ``rec.resume`` names a checkpoint to continue from.

    Raises:
        InputError: a config, data or checkpoint that cannot be used, or a disk that is full.
    """
    cfg = parse(config)
    with reproducible(cfg.seed, cfg.threads):
        # ---- set up, or continue -----------------------------------------------------------------------------------
        learner = Learner.make(cfg)
        if rec.resume is None:
            introduce(learner, rec)
            if rec.stop:  # data on which no step is worth taking
                return
            progress = learner.start()
            probes.before_training(learner, rec)
        else:
            progress, inexact = learner.resume(rec.resume)
            for text in inexact:
                rec.note(text)

        # ---- epochs, stage by stage --------------------------------------------------------------------------------
        while progress.epoch <= cfg.epochs and not out_of_patience(learner, progress):
            begin_stage(learner, progress, rec)
            speed, stopped = train_epoch(learner, progress, rec)
            if stopped:
                save(learner, progress, rec, "last", {})
                return
            metrics = measuring_up.measure(learner, progress, rec)
            rec.epoch(progress.epoch, samples_per_second=speed, tokens_per_second=speed, **metrics)
            keep(learner, progress, rec, metrics)
            if rec.stop:
                return

        # ---- what was saved is what was validated ------------------------------------------------------------------
        if progress.epoch <= cfg.epochs:
            rec.early(f"stopped early after epoch {progress.epoch - 1} of {cfg.epochs}: validation no longer improves")
        probes.after_training(learner, rec)
        measuring_up.reload(learner, rec, rec.path / CHECKPOINTS)


def introduce(learner: Learner, rec: Recorder) -> None:
    """Says what is about to be trained on what."""
    cfg, data, model = learner.cfg, learner.data, learner.model
    rec.data(name=data.name, fingerprint=data.fingerprint, facts=data.facts(), notes=tuple(data.notes))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    digest = architecture(model)
    rec.model(kind=cfg.model["kind"], parameters=trainable, digest=digest, components=components(model))  # type: ignore[arg-type]
    rec.declare(metrics=measuring_up.declared(learner))
    for text in learner.notes:
        rec.note(text)
    where = f"device {learner.device.type}, {cfg.threads} thread(s), {cfg.precision}"
    rec.note(f"{where}, torch {torch.__version__}, deterministic")
    rec.note("train_loss is the mean loss of the recursion's steps; val_loss is of the step where each token halts")


def begin_stage(learner: Learner, progress: Progress, rec: Recorder) -> None:
    """Announces the stage whose first epoch begins now."""
    plan, epoch = learner.plan, progress.epoch
    if progress.batch or (epoch > 1 and plan[epoch - 1] == plan[epoch - 2]):
        return
    stage = learner.stages[plan[epoch - 1]]
    rec.stage(
        index=plan[epoch - 1],
        name=stage.name,
        fingerprint=stage.fingerprint,
        records=stage.records,
        facts=stage.facts(),
    )


# -- training ----------------------------------------------------------------------------------------------------------
def train_epoch(learner: Learner, progress: Progress, rec: Recorder) -> tuple[float | None, bool]:
    """Trains the rest of the current epoch, up to the step after which ``rec.stop`` is true.

    Returns:
        Scored tokens per second of the training loop alone (None when no batch was left), and whether it was stopped.
    """
    cfg = learner.cfg
    stage = learner.stages[learner.plan[progress.epoch - 1]]
    batches = stage.batches(cfg.batch_size, seed=cfg.seed, epoch=progress.epoch, first=progress.batch)
    learner.model.train()
    stopped, before, began = False, progress.sums.count, time.perf_counter()
    for group in groups(batches, cfg.accumulation):
        step(learner, progress, rec, group)
        stopped = rec.stop
        if stopped:
            break
    progress.sums.means()  # waits for the device, so that the clock is read after the work
    trained = progress.sums.count - before
    return (trained / (time.perf_counter() - began) if trained else None), stopped


def groups(batches: Iterator[TokenBatch], size: int) -> Iterator[list[TokenBatch]]:
    """The micro-batches of each optimizer step: ``size`` of them, and at the end of an epoch what is left."""
    while group := list(islice(batches, size)):
        yield group


def step(learner: Learner, progress: Progress, rec: Recorder, group: list[TokenBatch]) -> None:
    """One optimizer step on micro-batches. No number is read from the device here, but for the rare probe.

    Each micro-batch counts by its scored tokens, so that the step is the one a single large batch would have taken,
    however many micro-batches are left at the end of an epoch.
    """
    cfg, optimizer = learner.cfg, learner.optimizer
    lr = max(learner.rates.before_step(progress.step).values())
    optimizer.zero_grad(set_to_none=True)
    scored = sum(batch.scored for batch in group)
    loss, values = backward(learner, group, scored)
    norm = clip([p for each in optimizer.param_groups for p in each["params"]], cfg.clip_norm)
    update(learner, progress, rec)
    learner.average.update()
    progress.sums.add(
        [values[name.removeprefix("train_").replace("loss", "ce")][1] for name in progress.sums.names], scored
    )
    progress.step += 1
    progress.batch += len(group)
    rec.step(loss=loss, terms=values, grad_norm=norm, lr=lr, samples=scored)


def backward(learner: Learner, group: list[TokenBatch], scored: int) -> tuple[Tensor, dict[str, tuple[float, Tensor]]]:
    """Adds the gradient of the mean over all ``scored`` tokens of the group to ``.grad``.

    Returns:
        What was differentiated, and each declared term as (weight, value), all over the group.
    """
    model, loss = learner.model, torch.zeros((), device=learner.device)
    values: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=learner.device))
    weights: dict[str, float] = {}
    for each in group:
        batch, share = each.to(learner.device), each.scored / scored
        with learner.precision():
            output = model(batch.tokens, segments=batch.segments)
            terms = language_terms(model, output, batch.targets, learner.cfg.loss)  # type: ignore[arg-type]
            total = share * weighted_total(terms)
        total.backward()  # type: ignore[no-untyped-call]
        loss = loss + total.detach()
        for name, (weight, value) in terms.items():
            weights[name] = weight
            values[name] = values[name] + share * value.detach()
    return loss, {name: (weight, values[name]) for name, weight in weights.items()}


def update(learner: Learner, progress: Progress, rec: Recorder) -> None:
    """The optimizer's step; at the last one of a window, measured by the change of the parameters themselves."""
    if (progress.step + 1) % learner.cfg.window:
        learner.optimizer.step()
        return
    with measuring(learner.optimizer, learner.model, learner.slow) as measured:
        learner.optimizer.step()
    rec.probe("learning_rates", {**measured, **learner.rates.probe(progress.step)})


# -- saving ------------------------------------------------------------------------------------------------------------
def out_of_patience(learner: Learner, progress: Progress) -> bool:
    """Whether the validation loss has not improved for as many epochs as the config allows."""
    rule = learner.cfg.early_stop
    if rule is None:
        return False
    best, waited = math.inf, 0
    for row in progress.rows:
        improved = row["val_loss"] < best - rule.min_delta
        best, waited = (row["val_loss"], 0) if improved else (best, waited + 1)
    return waited >= rule.patience


def keep(learner: Learner, progress: Progress, rec: Recorder, metrics: dict[str, float]) -> None:
    """At the end of an epoch: ``best`` where validation improved, and ``last``."""
    kept = {"val_loss": metrics["val_loss"]}
    progress.rows.append(kept)
    progress.next_epoch()
    if metrics["val_loss"] < (math.inf if progress.best is None else progress.best):
        progress.best = metrics["val_loss"]
        save(learner, progress, rec, "best", kept)
    save(learner, progress, rec, "last", kept)


def save(learner: Learner, progress: Progress, rec: Recorder, name: str, metrics: dict[str, float]) -> None:
    """Publishes a checkpoint and says so, or says why there is none."""
    path, reason = learner.save(progress, rec.path / CHECKPOINTS, name, metrics)
    if path is None:
        rec.note(reason)
    else:
        rec.checkpoint(name, path.relative_to(rec.path), epoch=progress.epoch - 1, step=progress.step, metrics=metrics)
