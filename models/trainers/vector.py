"""The vector trainer: predicts the next chunk vector from a context of chunk vectors, and reports what it does."""

from __future__ import annotations

import math
import os
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lvmcheck.run.recorder import Recorder
from models.checkpoints.checkpoint import architecture
from models.data.loader import Loader, check_sizes
from models.fast.fused_adamw import FusedAdamW
from models.losses import Batch, Terms, compute_terms, mse_and_slope, unit, weighted_total
from models.lvm.parts.vector_model import Passes
from models.metrics import cosine
from models.runtime.out_of_memory import enough
from models.runtime.parity import demand
from models.runtime.session import pick_device, precise, reproducible
from models.trainers import history, sweep
from models.trainers.gradients import clip
from models.trainers.learner import Learner
from models.trainers.measurement import CHECKPOINTS, declared, measure, reload, trivial_cosines
from models.trainers.probes import due, term_gradient_norms
from models.trainers.progress import Progress
from models.trainers.vector_config import parse

PARITY_ROWS = 32  # of validation, for the comparison of an accelerator with the CPU


def train(config: dict[str, Any], rec: Recorder) -> None:
    """Trains one run and reports it; ends early, resumably, when ``rec.stop`` is true.

    Args:
        config: the [run] table (:class:`models.trainers.vector_config.Config`), with this run's ``seed``.
        rec: where the run is recorded; ``rec.resume`` names a checkpoint to continue from.

    Raises:
        InputError: a config, data or checkpoint that cannot be used, or a disk that is full.
    """
    cfg = parse(config)
    with reproducible(cfg.seed, cfg.threads), precise(cfg.precision, pick_device(cfg.device)):
        # ---- set up, or continue -----------------------------------------------------------------------------------
        learner = Learner.make(cfg)
        if rec.resume is None:
            introduce(learner, rec)
            if rec.stop:  # data on which no step is worth taking
                return
            progress = learner.start()
        else:
            progress, inexact = learner.resume(rec.resume)
            for text in inexact:
                rec.note(text)
        baselines = trivial_cosines(learner)

        # ---- epochs ------------------------------------------------------------------------------------------------
        while progress.epoch <= cfg.epochs:
            with enough("trainer vector", cfg.batch_size, partial(attempt, learner)):
                speed, stopped = train_epoch(learner, progress, rec)
            if stopped:
                save(learner, progress, rec, "last", {})
                return
            metrics = measure(learner, progress, baselines)
            learner.schedule.after_epoch(metrics["val_loss"])
            progress.rows.append(history.row(progress.epoch, metrics))
            rec.epoch(progress.epoch, samples_per_second=speed, **metrics)
            progress.next_epoch()
            keep(learner, progress, rec, metrics)
            if rec.stop:
                return

        # ---- what was saved is what was trained, and what was trained resembles what was asked for -----------------
        reload(learner, rec)
        sweep.report(learner, rec)


def introduce(learner: Learner, rec: Recorder) -> None:
    """Says what is about to be trained on what."""
    cfg, data, model = learner.cfg, learner.data, learner.model
    rec.data(name=data.name, fingerprint=data.fingerprint, facts=data.facts(), notes=tuple(data.notes))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    rec.model(kind=cfg.model["kind"], parameters=trainable, digest=architecture(model))
    rec.declare(metrics=declared(learner))
    for text in getattr(model, "notes", ()):
        rec.note(text)
    where = f"device {learner.device.type}, {cfg.threads} thread(s), {cfg.precision}"
    rec.note(f"{where}, torch {torch.__version__}, deterministic")
    if learner.device.type != "cpu":
        first = next(Loader(data.validation, PARITY_ROWS, torch.device("cpu")).in_order())
        found = demand(model, *first, learner.device)
        rec.note(f"gradients and steps agree with the CPU's: the {found.what} differs most, by {found.difference:.2g}")
    rec.note("val_loss and val_cosine are of predictions at unit length; train_loss_mse is of raw predictions")
    if os.environ.get("KMP_DUPLICATE_LIB_OK"):
        rec.note("KMP_DUPLICATE_LIB_OK is set: OpenMP itself says that results may silently be incorrect")


# -- training ----------------------------------------------------------------------------------------------------------
def train_epoch(learner: Learner, progress: Progress, rec: Recorder) -> tuple[float | None, bool]:
    """Trains the rest of the current epoch, up to the step after which ``rec.stop`` is true.

    Returns:
        Samples per second of the training loop alone (None when it was stopped or no batch was left), and whether it
        was stopped.
    """
    cfg = learner.cfg
    windows = learner.data.train_epoch(progress.epoch)
    check_sizes(windows, cfg.batch_size, cfg.loss)
    loader = Loader(windows, cfg.batch_size, learner.device)
    learner.model.train()
    stopped, before = False, progress.sums.count
    learner.pace.begin()
    for context, target in loader.shuffled(cfg.seed, progress.epoch, first=progress.batch):
        step(learner, progress, rec, context, target)
        stopped = rec.stop
        if stopped:
            break
    trained = progress.sums.count - before
    if stopped or not trained:
        return None, stopped
    speed, pace = learner.pace.end(trained)
    rec.probe("throughput", pace)
    return speed, stopped


def attempt(learner: Learner, rows: int) -> None:
    """Forward and backward on ``rows`` windows, for nothing but their memory."""
    context, target = Loader(learner.data.train_epoch(1), rows, learner.device).gather(slice(0, rows))
    losses(learner, context, target)[1].backward()  # type: ignore[no-untyped-call]
    learner.optimizer.zero_grad(set_to_none=True)


def losses(learner: Learner, context: Tensor, target: Tensor) -> tuple[Terms, Tensor, Tensor]:
    """The loss terms of a batch, their weighted total, and the prediction [B, D] at unit length."""
    with learner.precision():
        raw, prediction = learner.forward(context, return_raw=True)
    raw, prediction = raw.float(), prediction.float()
    terms = compute_terms(learner.cfg.loss, Batch(raw, prediction, target, learner.cfg.tau))
    return terms, weighted_total(terms), prediction


def by_hand(learner: Learner, passes: Passes, context: Tensor, target: Tensor) -> tuple[Terms, Tensor, Tensor]:
    """Loss terms, their weighted total and the raw prediction [B, D], and every gradient, where the model knows its own
    passes: autograd sees the loss terms alone, and the mean squared error needs none at all.
    """
    cfg, raw = learner.cfg, passes.forward(context)
    active = [name for name, weight in cfg.loss.items() if weight > 0]
    if active == ["mse"]:
        weight = cfg.loss["mse"]
        value, slope = mse_and_slope(raw, target)
        passes.backward(slope if weight == 1.0 else slope.mul_(weight))
        return {"mse": (weight, value)}, value * weight, raw
    terms = compute_terms(cfg.loss, Batch(raw.requires_grad_(), unit(raw), target, cfg.tau))
    total = weighted_total(terms)
    passes.backward(*torch.autograd.grad(total, raw))
    return terms, total, raw.detach()


def step(learner: Learner, progress: Progress, rec: Recorder, context: Tensor, target: Tensor) -> None:
    """One optimizer step. No number is read from the device here, but for the rare probe."""
    cfg, optimizer = learner.cfg, learner.optimizer
    parameters = optimizer.param_groups[0]["params"]
    lr = learner.schedule.before_step(progress.step)
    active = sum(weight > 0 for weight in cfg.loss.values())
    probed = due(progress.step + 1, cfg.term_grads_every, active)
    term_norms: dict[str, float] = {}
    if learner.passes is not None and not probed:
        terms, total, predicted = by_hand(learner, learner.passes, context, target)
    else:
        terms, total, predicted = losses(learner, context, target)
        term_norms = term_gradient_norms(terms, parameters) if probed else {}
        for parameter in parameters:  # as optimizer.zero_grad, without its hooks for a profiler
            parameter.grad = None
        total.backward()  # type: ignore[no-untyped-call]
    norm = clip(parameters, cfg.clip_norm, optimizer.whole() if isinstance(optimizer, FusedAdamW) else None)
    optimizer.step()

    loss, values = total.detach(), {name: (weight, value.detach()) for name, (weight, value) in terms.items()}
    with torch.no_grad():
        close = cosine(predicted, target).mean()
    progress.sums.add([loss, *(value for _, value in values.values()), close], len(target))
    progress.step += 1
    progress.batch += 1
    rec.step(loss=loss, terms=values, grad_norm=norm, lr=lr, samples=len(target))
    if term_norms:
        rec.probe("term_grad_norm", term_norms)


# -- saving ------------------------------------------------------------------------------------------------------------
def keep(learner: Learner, progress: Progress, rec: Recorder, metrics: dict[str, float]) -> None:
    """At the end of an epoch: the exported history, ``best`` where validation improved, and ``last``."""
    kept = {name: metrics[name] for name in ("val_loss", "val_cosine")}
    parameters = sum(p.numel() for p in learner.model.parameters())
    history.export(rec.path / history.FILE, kind=learner.cfg.model["kind"], parameters=parameters, rows=progress.rows)
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
