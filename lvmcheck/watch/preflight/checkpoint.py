"""A checkpoint as a training loop writes it, in memory: model and loss, optimizers, schedulers, generators."""

from __future__ import annotations

import copy
import io
from typing import Any

import torch

from lvmcheck.watch.preflight.setup import Setup
from lvmcheck.watch.preflight.state import SavedGenerators


class Checkpoint:
    """Written when it is made.

    Attributes:
        plain: torch.load(weights_only=True) reads it.
    """

    def __init__(self, setup: Setup) -> None:
        self.models, models = _through_file([root.state_dict() for root in setup.roots])
        self.optimizers, optimizers = _through_file([optimizer.state_dict() for optimizer in setup.optimizers])
        self.schedulers = [copy.deepcopy(scheduler.state_dict()) for scheduler in setup.schedulers]
        self.generators = SavedGenerators()
        self.plain = models and optimizers

    def load(self, setup: Setup) -> None:
        for root, state in zip(setup.roots, self.models, strict=True):
            root.load_state_dict(state)
        for optimizer, state in zip(setup.optimizers, self.optimizers, strict=True):
            optimizer.load_state_dict(state)
        for scheduler, state in zip(setup.schedulers, self.schedulers, strict=True):
            scheduler.load_state_dict(copy.deepcopy(state))
        self.generators.restore()


def _through_file(state: Any) -> tuple[Any, bool]:
    """The state as a file gives it back, and whether it can be read without executing what it holds."""
    buffer = io.BytesIO()
    try:
        torch.save(state, buffer)
        buffer.seek(0)
        return torch.load(buffer, weights_only=True), True
    except Exception:
        return copy.deepcopy(state), False
