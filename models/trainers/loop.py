"""The training loop, for every kind of model: from the first batch to the last checkpoint on one page.

A task (:mod:`models.trainers.task`) says what a batch is, how its loss is computed and what is validated; vector.py and
language.py next to this file are the two that exist.
"""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lvmcheck.run.recorder import Recorder
from lvmcheck.testing.evaluations import coverage_counts
from models.checkpoints.checkpoint import architecture, published
from models.checkpoints.load import load_model
from models.losses import merged
from models.optim.clip import clip_gradients
from models.runtime import ranks
from models.runtime.out_of_memory import report_out_of_memory
from models.trainers.task import Task
from models.trainers.train_state import CHECKPOINTS


def run(task: Task[Any], rec: Recorder) -> None:
    """Trains one run and records it; ends early, resumably, when ``rec.stop`` is true.

    Raises:
        InputError: data or a checkpoint that cannot be used, no memory, or a disk that is full.
    """
    cfg, progress = task.cfg, task.state.progress
    rec.look_no_further()  # this loop measures what it trains by itself

    # ---- start, or resume ------------------------------------------------------------------------------------------
    if rec.resume is None:
        log_header(task, rec)
        if rec.stop:  # a check refused the data before the first step
            return
        log_coverage(task, rec)
        task.before_training(rec)
    else:
        for text in task.state.resume(rec.resume):
            rec.note(text)

    # ---- epochs ----------------------------------------------------------------------------------------------------
    while progress.epoch <= cfg.epochs and not task.stop_early():
        task.begin_epoch(rec)
        with report_out_of_memory(task.where, cfg.batch_size, partial(dry_run_step, task)):
            speed, stopped = train_epoch(task, rec)
        if stopped:
            save_checkpoint(task, rec, "last", {})
            return
        metrics = task.validate(rec)
        speeds = dict.fromkeys(task.speed_metrics, speed)
        rec.epoch(progress.epoch, samples_per_second=speed, **speeds, **metrics)
        task.end_epoch(rec, metrics)
        progress.next_epoch()
        save_checkpoints(task, rec, metrics)
        if rec.stop:
            return

    # ---- after the last step ---------------------------------------------------------------------------------------
    if progress.epoch <= cfg.epochs:
        rec.early(f"stopped early after epoch {progress.epoch - 1} of {cfg.epochs}: validation no longer improves")
    log_coverage(task, rec)
    if ranks.number() == 0:
        task.after_training(rec)


def train_epoch(task: Task[Any], rec: Recorder) -> tuple[float | None, bool]:
    """Trains the rest of the current epoch, up to the step after which ``rec.stop`` is true.

    Returns:
        Samples per second of the training loop alone (None when it was stopped or no batch was left), and whether it
        was stopped.
    """
    sums = task.state.progress.sums
    batches, before = task.batches(), sums.count
    task.model.train()
    task.meter.begin()
    for batch in batches:
        if task.state.progress.step == 0:
            rec.origin(batch=batch)
        train_step(task, batch, rec)
        if rec.stop:
            return None, True
    trained = sums.count - before
    if not trained:
        return None, False
    speed, throughput = task.meter.end(trained)
    if throughput:
        rec.probe("throughput", throughput)
    return speed, False


def train_step(task: Task[Any], batch: list[Any], rec: Recorder) -> None:
    """One optimizer step. Nothing here waits for the device: values stay tensors until the recorder reads a window."""
    state, progress = task.state, task.state.progress
    lr = task.set_lr()
    zero_gradients(task)
    samples = sum(map(task.samples, batch))
    parts = []
    for part in batch:  # one micro-batch, unless gradients are accumulated
        loss = task.loss(part)
        alone = ranks.size() == 1  # several add up their sums over samples
        loss.backward(loss.samples / samples if alone else loss.samples)  # the mean over the batch, however divided
        parts.append(loss)
    loss = merged(parts)
    if ranks.size() > 1:
        loss = ranks.add_up(loss, state.optimizer)
        samples = loss.samples
    norm = clip_gradients(state.optimizer, task.cfg.clip_norm)  # the norm before clipping
    task.optimizer_step(rec)
    state.ema.update()

    progress.sums.add(task.averaged(loss), samples)
    progress.step += 1
    progress.batch += len(batch)
    rec.step(loss=loss.total, terms=loss.terms, grad_norm=norm, lr=lr, samples=samples)
    for name, values in loss.probes.items():
        rec.probe(name, values)


def dry_run_step(task: Task[Any], rows: int) -> None:
    """Forward and backward of ``rows`` rows, only to see whether there is memory for them."""
    task.loss(task.first_batch(rows)).backward()
    zero_gradients(task)


def zero_gradients(task: Task[Any]) -> None:
    """As ``optimizer.zero_grad()``, without its hooks for a profiler."""
    for group in task.state.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


# -- what is recorded besides ------------------------------------------------------------------------------------------
def log_header(task: Task[Any], rec: Recorder) -> None:
    """Records what is about to be trained on what."""
    cfg, data, model = task.cfg, task.data, task.model
    rec.data(name=data.name, fingerprint=data.fingerprint, facts=data.facts(), notes=tuple(data.notes))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    digest = architecture(model)
    rec.model(kind=cfg.model["kind"], parameters=trainable, digest=digest, components=task.components())
    rec.origin(model=model)
    rec.declare(metrics=task.metrics())
    for text in getattr(model, "notes", ()):
        rec.note(text)
    about = f"{cfg.threads} thread(s), {cfg.precision}, torch {torch.__version__}, deterministic"
    rec.device(task.device.type, about)
    for text in task.notes():
        rec.note(text)
    if os.environ.get("KMP_DUPLICATE_LIB_OK"):
        rec.note("KMP_DUPLICATE_LIB_OK is set: OpenMP itself says that results may silently be incorrect")


def log_coverage(task: Task[Any], rec: Recorder) -> None:
    """Records which numbers of the model no step changes: outside of the optimizer, or frozen."""
    counts = coverage_counts(task.model, task.state.optimizer)
    rec.evaluation("optimizer_coverage", counts, about="numbers that the optimizer does not train")


def save_checkpoints(task: Task[Any], rec: Recorder, metrics: dict[str, float]) -> None:
    """At the end of an epoch: ``best`` where the validation loss improved, ``last``, and one that is kept and tested
    every so many epochs.
    """
    progress = task.state.progress
    stored = {name: metrics[name] for name in task.checkpoint_metrics if name in metrics}
    if metrics["val_loss"] < (math.inf if progress.best is None else progress.best):
        progress.best = metrics["val_loss"]
        save_checkpoint(task, rec, "best", stored)
    save_checkpoint(task, rec, "last", stored)
    every, done = task.cfg.keep_every, progress.epoch - 1
    if every and done % every == 0:
        save_checkpoint(task, rec, "epoch", stored)
        test_checkpoint(task, rec, published(rec.path / CHECKPOINTS, "epoch")[-1:])


def save_checkpoint(task: Task[Any], rec: Recorder, name: str, metrics: dict[str, float]) -> None:
    """Writes a checkpoint and records it, or records why there is none; of several processes the first does."""
    if ranks.number():
        return
    progress = task.state.progress
    path, reason = task.state.save(rec.path / CHECKPOINTS, name, metrics)
    if path is None:
        rec.note(reason)
    else:
        rec.checkpoint(name, path.relative_to(rec.path), epoch=progress.epoch - 1, step=progress.step, metrics=metrics)


def validate_checkpoints(task: Task[Any], rec: Recorder) -> None:
    """Tests the best checkpoint and the last one."""
    for name in ("best", "last"):
        test_checkpoint(task, rec, published(rec.path / CHECKPOINTS, name)[-1:])


def test_checkpoint(task: Task[Any], rec: Recorder, paths: list[Path]) -> None:
    """Loads each checkpoint into a new model, validates it and records the result next to the stored metrics."""
    for path in paths if ranks.number() == 0 else ():
        model, checkpoint = load_model(path, task.device)
        about = checkpoint.about
        recorded = {f"recorded_{key}": value for key, value in about.metrics.items()}
        fresh = {**task.score(model), "epoch": float(about.epoch)}
        name = path.name if about.name == "epoch" else about.name
        rec.evaluation("reload", {**fresh, **recorded}, about=f"checkpoint {name}", checkpoint=name)
