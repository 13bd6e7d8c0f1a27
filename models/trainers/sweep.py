"""The neighbour sweep: do predictions resemble their own target, more than the chunks around it and than any other?

An offset counts chunks from the **target**: 0 is the chunk that is asked for, -1 the last chunk of the context. The
original project's alignment test demanded that offset +1 beat offset 0 and so refused a perfect predictor (history 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lvmcheck.run.recorder import Recorder
from models.data import baselines
from models.data.dataset import Dataset
from models.data.loader import Loader
from models.data.store import Windows
from models.losses import unit
from models.runtime.eval_mode import eval_mode
from models.runtime.metrics import cosine
from models.trainers.evaluation import mean_of_pairs

EVENT = "sweep"
BEFORE, AFTER = 3, 3
SAMPLE = 1024  # windows of a sweep, drawn at random: standard error of a mean cosine about .005
FEWEST = 32  # windows below which an offset after the target is not measured


def record(model: nn.Module, data: Dataset, batch_size: int, device: torch.device, rec: Recorder) -> None:
    """Sweeps validation and every OOD set through ``model`` and records each."""
    sets = {"validation": data.validation, **{f"ood.{name}": each for name, each in data.ood.items()}}
    with eval_mode(model):
        for name, windows in sets.items():
            rec.evaluation(EVENT, sweep(model, windows, batch_size=batch_size, device=device), about=name)


@torch.no_grad()
def sweep(
    predict: Callable[[Tensor], Tensor], windows: Windows, *, batch_size: int, device: torch.device
) -> dict[str, float]:
    """What predictions of at most ``SAMPLE`` windows resemble, as mean cosines.

    Args:
        predict: context [B, T, D] to prediction [B, D]; a model is in evaluation mode already.

    Returns:
        ``offset_<k>`` with the chunk at offset k from the target (k = -3 to 3; those after the target are absent where
        the data do not have them); ``unrelated`` with the targets of other windows, which is what a prediction that
        ignores its context scores; ``self_similarity`` and ``target_self_similarity`` of two different predictions and
        targets; ``mean_direction`` of predictions and the targets' mean; ``samples``. Fewer than two windows: empty.
    """
    chosen = baselines.sample(windows, SAMPLE)
    after = following(chosen)
    whole = np.asarray((after >= 0).all(axis=1))
    if whole.sum() >= FEWEST:
        chosen, after = chosen.select(whole), after[whole]
    else:
        after = after[:, :0]
    n = len(chosen)
    if n < 2:
        return {}
    loader = Loader(chosen, batch_size, device)
    predictions = torch.cat([unit(predict(context)) for context, _ in loader.in_order()]).cpu().double()
    found = {f"offset_{k}": float(cosine(predictions, near).mean()) for k, near in neighbours(chosen, after)}
    targets = unit(torch.from_numpy(chosen.batch(slice(0, n))[1].copy())).double()
    total, wanted = predictions.sum(dim=0), targets.sum(dim=0)
    return {
        **found,
        "unrelated": mean_of_pairs(total, wanted, float((predictions * targets).sum()), n),
        "self_similarity": mean_of_pairs(total, total, float(predictions.square().sum()), n),
        "target_self_similarity": mean_of_pairs(wanted, wanted, float(targets.square().sum()), n),
        "mean_direction": float(total @ unit(wanted)) / n,
        "samples": float(n),
    }


def following(windows: Windows) -> NDArray[np.int64]:
    """Corpus rows of the ``AFTER`` chunks after each target, [N, AFTER]; -1 where its article has none."""
    rows = windows.rows().astype(np.int64)
    target = rows[:, -1:]
    after = target + np.arange(1, AFTER + 1)
    article = windows.corpus.article
    inside = after < len(article)
    same = article[np.where(inside, after, 0)] == article[target]
    # Windows of a file that lists them one by one are not in reading order: nothing follows their targets.
    in_order = (np.diff(rows, axis=1) == 1).all(axis=1, keepdims=True)
    return np.where(inside & same & in_order, after, -1)


def neighbours(windows: Windows, after: NDArray[np.int64]) -> Iterator[tuple[int, Tensor]]:
    """Offset and chunks [N, D] (float64): those of the context, the target, and the rows ``after`` it."""
    rows = windows.rows().astype(np.int64)
    for offset in range(-min(BEFORE, windows.context), after.shape[1] + 1):
        chosen = after[:, offset - 1] if offset > 0 else rows[:, offset - 1]
        yield offset, torch.from_numpy(windows.corpus.vectors[chosen].astype(np.float64))
