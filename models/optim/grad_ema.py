"""The running mean of raw gradients, kept beside an optimizer, and what the optimizer's filter adds of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lvmcheck.errors import InputError
from models.checkpoints.state import TrainingState

MATRICES = 4  # as many singular value decompositions as a probe pays for
_PARALLEL = 1e-6  # share of the mean not along the gradient, below which the two cannot be told apart


def watched(group: dict[str, Any]) -> list[Tensor]:
    """Up to four of the squarest matrices of ``group``, evenly spaced through its depth.

    A tall random matrix is nearly orthogonal as it is; only a square one tells an orthogonal update from a raw one.
    """
    matrices = [p for p in group["params"] if p.ndim == 2]
    aspect = min((max(p.shape) / min(p.shape) for p in matrices), default=1.0)
    square = [p for p in matrices if max(p.shape) / min(p.shape) == aspect]
    count = min(MATRICES, len(square))
    return [square[(2 * i + 1) * len(square) // (2 * count)] for i in range(count)]


class GradEMA:
    """Follows the raw gradient of a few hidden matrices through a step hook: one more pass over each per step.

    Independent of the optimizer's own state, so that a filter that does something else than it says is seen.

    Args:
        optimizer: whose groups of kind "muon" are followed; all groups where none is of that kind.
        alpha: declared decay of the filter's running mean.
    """

    def __init__(self, optimizer: Optimizer, *, alpha: float) -> None:
        self.alpha = alpha
        groups = optimizer.param_groups
        muon = [group for group in groups if group.get("kind") == "muon"]
        self.params = [parameter for group in muon or groups for parameter in watched(group)]
        self.means: dict[int, Tensor] = {}
        self._hook = optimizer.register_step_pre_hook(self._see)

    def close(self) -> None:
        """Stops following."""
        self._hook.remove()

    def _see(self, *_: object) -> None:
        for index, parameter in enumerate(self.params):
            if parameter.grad is None:
                continue
            if index not in self.means:
                self.means[index] = parameter.grad.detach().clone()
            self.means[index].lerp_(parameter.grad.detach(), 1.0 - self.alpha)

    def raw(self) -> list[Tensor | None]:
        """Copies of the gradients as they are now."""
        return [None if p.grad is None else p.grad.detach().clone() for p in self.params]

    def gains(self, raw: Sequence[Tensor | None]) -> dict[str, float]:
        """Least squares of ``.grad - raw`` on the running mean and on ``raw``, after a step that began with ``raw``.

        Returns:
            ``filter/slow_gain`` (lambda for Grokfast, -lambda for its reverse, 0 without a filter),
            ``filter/raw_gain`` (0 for Grokfast, lambda for its reverse) and ``filter/unexplained`` (share of what was
            added that neither explains; absent where nothing was added). Empty where mean and gradient are parallel,
            as after a single step.
        """
        moments = torch.zeros(3, 3, dtype=torch.float64)
        for index, (parameter, given) in enumerate(zip(self.params, raw, strict=True)):
            if parameter.grad is None or given is None or index not in self.means:
                continue
            mean, added = self.means[index], parameter.grad.detach() - given
            columns = torch.stack([mean.flatten(), given.flatten(), added.flatten()]).double()
            moments += (columns @ columns.mT).cpu()
        return _least_squares(moments)

    def state(self) -> TrainingState:
        """All of it, for :meth:`load`."""
        return TrainingState({str(index): mean.cpu().clone() for index, mean in self.means.items()})

    def load(self, state: TrainingState) -> None:
        """Continues from what :meth:`state` gave.

        Raises:
            InputError: a mean of another shape, or of a matrix that is not followed.
        """
        shapes = {str(place): parameter.shape for place, parameter in enumerate(self.params)}
        for key, mean in state.tensors.items():
            if shapes.get(key) != mean.shape:
                problem = f"running mean {key}: expected {list(shapes.get(key, ()))}, got {list(mean.shape)}"
                raise InputError("checkpoint", problem, key="state.slow_gradient")
        indices = {int(key): mean for key, mean in state.tensors.items()}
        self.means = {place: mean.to(self.params[place].device, copy=True) for place, mean in indices.items()}


def _least_squares(moments: Tensor) -> dict[str, float]:
    """Gains of mean and gradient from the inner products [3, 3] of mean, gradient and what was added."""
    normal, right, added = moments[:2, :2], moments[:2, 2], moments[2, 2]
    scale = normal.diagonal().prod()
    if scale == 0 or torch.linalg.det(normal) / scale < _PARALLEL:
        return {}
    gains = torch.linalg.solve_ex(normal, right)[0]
    values = {"filter/slow_gain": float(gains[0]), "filter/raw_gain": float(gains[1])}
    if added != 0:
        left = float(1.0 - gains @ right / added)
        values["filter/unexplained"] = left if left != left else max(0.0, left)
    return values
