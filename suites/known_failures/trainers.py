"""Trainers that repeat two faults of the original project, which the real trainer has no option for."""

from __future__ import annotations

from typing import Any
from unittest import mock

import torch
from torch import Tensor

from lvmcheck.run.recorder import Recorder
from models.checkpoints.checkpoint import published
from models.checkpoints.load import read
from models.data.dataset import open_data
from models.losses import Batch, Terms, compute_terms, variance, weighted_total
from models.lvm.amn import AMN
from models.trainers import sweep, vector
from models.trainers.evaluation import evaluate_model
from models.trainers.train_state import CHECKPOINTS
from models.trainers.vector_config import parse
from suites.known_failures.second_amn import SecondAMN

HIDDEN_WEIGHT = 1e-3
"""Weight of the term that attempts 1 and 3 on the 790k corpus optimised and did not log."""


class HiddenVariance:
    """Adds the variance hinge to what is optimised, and to nothing that is logged."""

    def __init__(self) -> None:
        self.batch: Batch | None = None

    def terms(self, weights: dict[str, float], batch: Batch) -> Terms:
        """The declared terms."""
        self.batch = batch
        return compute_terms(weights, batch)

    def total(self, terms: Terms) -> Tensor:
        """What is optimised."""
        assert self.batch is not None
        return weighted_total(terms) + HIDDEN_WEIGHT * variance(self.batch.prediction)


def hidden_variance(config: dict[str, Any], rec: Recorder) -> None:
    """The vector trainer with an undeclared variance term of weight 1e-3."""
    hidden = HiddenVariance()
    patched = mock.patch.multiple(vector, compute_terms=hidden.terms, weighted_total=hidden.total)
    by_autograd = mock.patch.object(AMN, "manual_backward", return_value=None)  # which a declared loss need not be
    with patched, by_autograd:
        vector.train(config, rec)


def wrong_class(config: dict[str, Any], rec: Recorder) -> None:
    """The vector trainer, then an evaluation tool of its own that loads the weights into the second class.

    As ``tools/eval_model_ood.py`` did: ``load_state_dict(strict=True)`` succeeds, and nothing says a word.
    """
    vector.train(config, rec)
    best = published(rec.path / CHECKPOINTS, "best")
    if rec.stop or not best:
        return
    cfg = parse(config)
    data, checkpoint = open_data(cfg.data, seed=cfg.seed), read(best[-1])
    model = SecondAMN(**checkpoint.about.params)
    model.load_state_dict(dict(checkpoint.weights), strict=True)
    model.eval()
    device, size = torch.device("cpu"), cfg.eval_batch_size
    again = evaluate_model(model, data.validation, batch_size=size, device=device)
    recorded = {"recorded_val_cosine": checkpoint.about.metrics["val_cosine"]}
    rec.evaluation("ood_tool", {"val_cosine": again.cosine, **recorded}, about="weights in the second class")
    for name, windows in data.ood.items():
        found = sweep.sweep(model, windows, batch_size=size, device=device)
        rec.evaluation("ood_tool_sweep", found, about=f"ood.{name}")
