"""What a vector run measures between the epochs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from models.data.dataset import Dataset
from models.data.store import Windows
from models.terms import TERMS
from models.trainers.evaluation import Evaluation, evaluate, evaluate_model, mean_of_context
from models.trainers.vector_config import METRICS


@dataclass(frozen=True)
class VectorValidation:
    """Evaluates a model on validation, on OOD sets and on a sample of the training windows, in evaluation mode."""

    data: Dataset
    train_sample: Windows
    batch_size: int
    device: torch.device

    def names(self, loss: dict[str, float]) -> tuple[str, ...]:
        """The metrics that every epoch will have, for these weights of the loss terms: terms that are not computed and
        sets that do not exist are left out, and each of several OOD sets has its own.
        """
        active = {name for name, weight in loss.items() if weight > 0}
        absent = {f"train_loss_{term}" for term in TERMS if term not in active}
        if not self.data.ood:
            absent |= {name for name in METRICS if name.startswith("ood_")}
        several = self.data.ood if len(self.data.ood) > 1 else {}
        return (*(name for name in METRICS if name not in absent), *(f"ood_cosine_{name}" for name in several))

    @cached_property
    def baselines(self) -> dict[str, float]:
        """Cosine of the mean of the context on validation ("val") and on each OOD set: what the model must beat."""
        sets = {"val": self.data.validation, **self.data.ood}
        return {
            name: evaluate(mean_of_context, windows, batch_size=self.batch_size, device=self.device).cosine
            for name, windows in sets.items()
        }

    def score(self, model: nn.Module, windows: Windows) -> Evaluation:
        """``model`` on ``windows``."""
        return evaluate_model(model, windows, batch_size=self.batch_size, device=self.device)

    def metrics(self, model: nn.Module) -> dict[str, float]:
        """All metrics of ``model``."""
        baselines = self.baselines
        val = self.score(model, self.data.validation)
        train = self.score(model, self.train_sample)
        metrics = {
            "train_eval_loss": train.loss,
            "train_eval_cosine": train.cosine,
            "val_loss": val.loss,
            "val_cosine": val.cosine,
            "val_margin_over_mean_of_context": val.cosine - baselines["val"],
            "val_mean_direction": val.mean_direction,
            "val_target_mean_direction": val.target_mean_direction,
        }
        if val.self_similarity is not None:
            metrics["val_self_similarity"] = val.self_similarity
        ood = {name: self.score(model, windows) for name, windows in self.data.ood.items()}
        if ood:
            count = sum(each.samples for each in ood.values())
            share = {name: each.samples / count for name, each in ood.items()}
            metrics["ood_cosine"] = sum(share[name] * each.cosine for name, each in ood.items())
            trivial = sum(share[name] * baselines[name] for name in ood)
            metrics["ood_margin_over_mean_of_context"] = metrics["ood_cosine"] - trivial
        if len(ood) > 1:
            metrics |= {f"ood_cosine_{name}": each.cosine for name, each in ood.items()}
        return metrics
