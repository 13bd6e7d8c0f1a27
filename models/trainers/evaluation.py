"""Evaluation of a predictor: predictions at unit length, averaged over samples, nothing changed by looking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.data.loader import Loader
from models.data.store import Windows
from models.losses import unit
from models.runtime.eval_mode import eval_mode
from models.runtime.metrics import SampleMean, cosine, squared_error


@dataclass(frozen=True)
class Evaluation:
    """Means over ``samples`` windows.

    Attributes:
        loss: mean squared error of the prediction at unit length, ``2 (1 - cosine) / D`` for unit targets.
        cosine: of prediction and target.
        mean_direction: cosine of predictions with the direction of the mean target.
        target_mean_direction: the same of the targets: the length of their mean.
        self_similarity: mean cosine of two different predictions; None for fewer than two windows.
    """

    samples: int
    loss: float
    cosine: float
    mean_direction: float
    target_mean_direction: float
    self_similarity: float | None


@torch.no_grad()
def evaluate(
    predict: Callable[[Tensor], Tensor], windows: Windows, *, batch_size: int, device: torch.device
) -> Evaluation:
    """Scores ``predict`` (context [B, T, D] to prediction [B, D]) on all ``windows``."""
    loader = Loader(windows, batch_size, device)
    means = SampleMean(("loss", "cosine"), device)
    dtype = means.sums.dtype
    predicted, wanted = (torch.zeros(windows.dim, dtype=dtype, device=device) for _ in range(2))
    for context, target in loader.in_order():
        prediction = unit(predict(context))
        scores = [squared_error(prediction, target).mean(), cosine(prediction, target).mean()]
        means.add(scores, len(target))
        predicted += prediction.sum(dim=0, dtype=dtype)
        wanted += target.sum(dim=0, dtype=dtype)
    n = means.count
    mean = means.means()
    pairs = mean_of_pairs(predicted, predicted, n, n) if n > 1 else None
    along, length = float(predicted @ unit(wanted)) / n, float(wanted.norm()) / n
    return Evaluation(n, mean["loss"], mean["cosine"], along, length, pairs)


def evaluate_model(model: nn.Module, windows: Windows, *, batch_size: int, device: torch.device) -> Evaluation:
    """:func:`evaluate` of a model in evaluation mode."""
    with eval_mode(model):
        return evaluate(model, windows, batch_size=batch_size, device=device)


def mean_of_pairs(first: Tensor, second: Tensor, own: float, n: int) -> float:
    """Mean of ``a_i . b_j`` over all i != j, from the sums [D] of n >= 2 rows each and ``own``, sum a_i . b_i."""
    return (float(first @ second) - own) / (n * (n - 1))


def mean_of_context(context: Tensor) -> Tensor:
    """The trivial predictor [B, D] that every model must beat."""
    return context.mean(dim=1)
