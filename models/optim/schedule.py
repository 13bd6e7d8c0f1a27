"""Learning rates: constant, cosine after a linear warm-up, or halved on a plateau (history 4)."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from models.checkpoints.state import TrainingState

FACTOR, PATIENCE = 0.5, 3  # the original project's plateau
_PLATEAU_STATE = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")


def cosine_lr(step: int, total: int, lr: float, lr_min: float, warmup: int) -> float:
    """The rate of 0-based ``step``: linear to ``lr`` in ``warmup`` steps, then half a cosine to ``lr_min`` at the last.

    Loshchilov and Hutter 2017 without restarts.
    """
    if step < warmup:
        return lr * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - 1 - warmup))
    return lr_min + (lr - lr_min) * 0.5 * (1.0 + math.cos(math.pi * progress))


def constant_lr(step: int, lr: float, warmup: int) -> float:
    """The rate of 0-based ``step``: linear to ``lr`` over ``warmup`` steps, then ``lr``."""
    return lr * min(1.0, (step + 1) / warmup) if warmup else lr


class Schedule:
    """Sets the learning rate of an optimizer before each step and looks at the validation loss after each epoch.

    Args:
        kind: "constant", "cosine" or "plateau".
        total: steps of the whole run, for the cosine.
    """

    def __init__(
        self, kind: str, optimizer: Optimizer, *, total: int, lr: float, lr_min: float = 0.0, warmup: int = 0
    ) -> None:
        self.kind = kind
        self.optimizer = optimizer
        self.total, self.lr, self.lr_min, self.warmup = total, lr, lr_min, warmup
        plateau = kind == "plateau"
        self.plateau = ReduceLROnPlateau(optimizer, "min", FACTOR, PATIENCE) if plateau else None

    def before_step(self, step: int) -> float:
        """Sets and returns the rate that 0-based ``step`` uses."""
        if self.kind == "plateau":
            return float(self.optimizer.param_groups[0]["lr"])
        if self.kind == "cosine":
            rate = cosine_lr(step, self.total, self.lr, self.lr_min, self.warmup)
        else:
            rate = constant_lr(step, self.lr, self.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def after_epoch(self, val_loss: float) -> None:
        """Lets the plateau see the epoch's validation loss; NaN counts as no improvement."""
        if self.plateau is not None:
            self.plateau.step(val_loss)

    def state(self) -> TrainingState:
        """What :meth:`load` needs; the rate itself is part of the optimizer's state."""
        if self.plateau is None:
            return TrainingState(values={"kind": self.kind})
        state = self.plateau.state_dict()
        return TrainingState(values={"kind": self.kind, **{name: state[name] for name in _PLATEAU_STATE}})

    def load(self, state: TrainingState) -> None:
        """Restores what :meth:`state` returned."""
        if self.plateau is not None:
            self.plateau.load_state_dict({name: state.values[name] for name in _PLATEAU_STATE})
