"""What a vector run measures between the epochs, and once more from its checkpoints at the end."""

from __future__ import annotations

from torch import nn

from lvmcheck.run.recorder import Recorder
from models.checkpoints.checkpoint import published
from models.checkpoints.load import load_model
from models.data.store import Windows
from models.terms import TERMS
from models.trainers.evaluation import Evaluation, evaluate, evaluate_model, mean_of_context
from models.trainers.learner import Learner
from models.trainers.progress import Progress
from models.trainers.vector_config import METRICS

CHECKPOINTS = "checkpoints"


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


def reload(learner: Learner, rec: Recorder) -> None:
    """Loads each checkpoint afresh, evaluates it again and reports it beside what was recorded with it."""
    for name in ("best", "last"):
        for path in published(rec.path / CHECKPOINTS, name)[-1:]:
            model, checkpoint = load_model(path, learner.device)
            again = score(learner, learner.data.validation, model)
            recorded = {f"recorded_{key}": value for key, value in checkpoint.about.metrics.items()}
            fresh = {"val_cosine": again.cosine, "val_loss": again.loss, "epoch": float(checkpoint.about.epoch)}
            rec.evaluation("reload", {**fresh, **recorded}, about=f"checkpoint {name}, loaded afresh")
