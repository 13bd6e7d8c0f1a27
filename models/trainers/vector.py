"""The vector trainer: predicts the next chunk vector from a context of chunk vectors, and reports what it does."""

from __future__ import annotations

import math
import os
import time
from typing import Any

import torch
from torch import Tensor, nn

from lvmcheck.recorder import Recorder
from models.checkpoint import architecture, published
from models.data.store import Windows
from models.losses import Batch, compute_terms, weighted_total
from models.metrics import cosine
from models.reload import load_model
from models.terms import TERMS
from models.trainers import history
from models.trainers.batches import Loader, check_sizes
from models.trainers.evaluation import Evaluation, evaluate, evaluate_model, mean_of_context
from models.trainers.learner import Learner, Progress
from models.trainers.probes import due, term_gradient_norms
from models.trainers.session import reproducible
from models.trainers.vector_config import METRICS, parse

CHECKPOINTS = "checkpoints"


def train(config: dict[str, Any], rec: Recorder) -> None:
    """Trains one run and reports it; ends early, resumably, when ``rec.stop`` is true.

    Args:
        config: the [run] table (:class:`models.trainers.vector_config.Config`), with this run's ``seed``.
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
            progress = learner.start()
        else:
            progress, inexact = learner.resume(rec.resume)
            for text in inexact:
                rec.note(text)
        baselines = trivial_cosines(learner)

        # ---- epochs ------------------------------------------------------------------------------------------------
        while progress.epoch <= cfg.epochs:
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

        # ---- what was saved is what was trained --------------------------------------------------------------------
        reload(learner, rec)


def introduce(learner: Learner, rec: Recorder) -> None:
    """Says what is about to be trained on what."""
    cfg, data, model = learner.cfg, learner.data, learner.model
    rec.data(name=data.name, fingerprint=data.fingerprint, facts=data.facts(), notes=tuple(data.notes))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    rec.model(kind=cfg.model["kind"], parameters=trainable, digest=architecture(model))
    rec.declare(metrics=declared(learner))
    rec.note(f"device {learner.device.type}, {cfg.threads} thread(s), torch {torch.__version__}, deterministic")
    rec.note("val_loss and val_cosine are of predictions at unit length; train_loss_mse is of raw predictions")
    if os.environ.get("KMP_DUPLICATE_LIB_OK"):
        rec.note("KMP_DUPLICATE_LIB_OK is set: OpenMP itself says that results may silently be incorrect")


def declared(learner: Learner) -> tuple[str, ...]:
    """The metrics that every epoch of this run will have: terms that are not computed and sets that are not there are
    left out, and each of several OOD sets has its own.
    """
    active = {name for name, weight in learner.cfg.loss.items() if weight > 0}
    absent = {f"train_loss_{term}" for term in TERMS if term not in active}
    if not learner.data.ood:
        absent |= {name for name in METRICS if name.startswith("ood_")}
    several = learner.data.ood if len(learner.data.ood) > 1 else {}
    return (*(name for name in METRICS if name not in absent), *(f"ood_cosine_{name}" for name in several))


# -- training ----------------------------------------------------------------------------------------------------------
def train_epoch(learner: Learner, progress: Progress, rec: Recorder) -> tuple[float | None, bool]:
    """Trains the rest of the current epoch, up to the step after which ``rec.stop`` is true.

    Returns:
        Samples per second of the training loop alone (None when no batch was left), and whether it was stopped.
    """
    cfg = learner.cfg
    windows = learner.data.train_epoch(progress.epoch)
    check_sizes(windows, cfg.batch_size, cfg.loss)
    loader = Loader(windows, cfg.batch_size, learner.device)
    learner.model.train()
    stopped, before, began = False, progress.sums.count, time.perf_counter()
    for context, target in loader.shuffled(cfg.seed, progress.epoch, first=progress.batch):
        step(learner, progress, rec, context, target)
        stopped = rec.stop
        if stopped:
            break
    progress.sums.means()  # waits for the device, so that the clock is read after the work
    trained = progress.sums.count - before
    return (trained / (time.perf_counter() - began) if trained else None), stopped


def step(learner: Learner, progress: Progress, rec: Recorder, context: Tensor, target: Tensor) -> None:
    """One optimizer step. No number is read from the device here, but for the rare probe."""
    cfg, model, optimizer = learner.cfg, learner.model, learner.optimizer
    parameters = optimizer.param_groups[0]["params"]
    lr = learner.schedule.before_step(progress.step)
    raw, prediction = model(context, return_raw=True)
    terms = compute_terms(cfg.loss, Batch(raw, prediction, target, cfg.tau))
    total = weighted_total(terms)
    probed = due(progress.step + 1, cfg.term_grads_every, len(terms))
    term_norms = term_gradient_norms(terms, parameters) if probed else {}
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    norm = clip(parameters, cfg.clip_norm)
    optimizer.step()

    loss, values = total.detach(), {name: (weight, value.detach()) for name, (weight, value) in terms.items()}
    with torch.no_grad():
        close = cosine(prediction, target).mean()
    progress.sums.add([loss, *(value for _, value in values.values()), close], len(target))
    progress.step += 1
    progress.batch += 1
    rec.step(loss=loss, terms=values, grad_norm=norm, lr=lr, samples=len(target))
    if term_norms:
        rec.probe("term_grad_norm", term_norms)


def clip(parameters: list[nn.Parameter], limit: float) -> Tensor:
    """Scales gradients to a global norm of at most ``limit`` (0 is off) and returns the norm before.

    A norm that is not finite is returned as it is and makes every gradient NaN: the run shows it, nothing hides it.
    """
    if limit > 0:
        return torch.nn.utils.clip_grad_norm_(parameters, limit)
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


# -- measuring ---------------------------------------------------------------------------------------------------------
def trivial_cosines(learner: Learner) -> dict[str, float]:
    """Cosine of the mean of the context on validation ("val") and on each OOD set: what the model must beat."""
    sets = {"val": learner.data.validation, **learner.data.ood}
    size, device = learner.cfg.eval_batch_size, learner.device
    return {
        name: evaluate(mean_of_context, windows, batch_size=size, device=device).cosine
        for name, windows in sets.items()
    }


def measure(learner: Learner, progress: Progress, baselines: dict[str, float]) -> dict[str, float]:
    """The metrics of the epoch that has just been trained, all through the same model object."""
    val = score(learner, learner.data.validation)
    sampled = score(learner, learner.eval_sample)
    metrics = {
        **progress.sums.means(),
        "train_eval_loss": sampled.loss,
        "train_eval_cosine": sampled.cosine,
        "val_loss": val.loss,
        "val_cosine": val.cosine,
        "val_margin_over_mean_of_context": val.cosine - baselines["val"],
        "val_mean_direction": val.mean_direction,
        "val_target_mean_direction": val.target_mean_direction,
        "lr": float(learner.optimizer.param_groups[0]["lr"]),
    }
    if val.self_similarity is not None:
        metrics["val_self_similarity"] = val.self_similarity
    ood = {name: score(learner, windows) for name, windows in learner.data.ood.items()}
    if ood:
        count = sum(each.samples for each in ood.values())
        share = {name: each.samples / count for name, each in ood.items()}
        metrics["ood_cosine"] = sum(share[name] * each.cosine for name, each in ood.items())
        trivial = sum(share[name] * baselines[name] for name in ood)
        metrics["ood_margin_over_mean_of_context"] = metrics["ood_cosine"] - trivial
    if len(ood) > 1:
        metrics |= {f"ood_cosine_{name}": each.cosine for name, each in ood.items()}
    return metrics


def score(learner: Learner, windows: Windows, model: nn.Module | None = None) -> Evaluation:
    """The learner's model, or another, evaluated on ``windows``."""
    size, device = learner.cfg.eval_batch_size, learner.device
    return evaluate_model(model or learner.model, windows, batch_size=size, device=device)


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


def reload(learner: Learner, rec: Recorder) -> None:
    """Loads each checkpoint afresh, evaluates it again and reports it beside what was recorded with it."""
    for name in ("best", "last"):
        for path in published(rec.path / CHECKPOINTS, name)[-1:]:
            model, checkpoint = load_model(path, learner.device)
            again = score(learner, learner.data.validation, model)
            recorded = {f"recorded_{key}": value for key, value in checkpoint.about.metrics.items()}
            fresh = {"val_cosine": again.cosine, "val_loss": again.loss, "epoch": float(checkpoint.about.epoch)}
            rec.evaluation("reload", {**fresh, **recorded}, about=f"checkpoint {name}, loaded afresh")
