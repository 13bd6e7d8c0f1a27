"""Whether answers that are pictures tell a target from its mirror image."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor

WINDOW, ROWS, SIDE = 10, 32, 8
"""Steps that count together, rows of each, and fields along an axis; with fewer positions a target is no picture."""
AXES = {-1: "width", -2: "height"}
KEYS = ("alike", "common", "own", "share", "rows")


def picture(name: str, output: Any, target: Any) -> tuple[Tensor, Tensor] | None:
    """The first rows of logits and masks of a call of a loss function, without their graph; None of others.

    Noise in a target of numbers, as of an autoencoder, has nothing that any answer could tell from its mirror image.

    Args:
        name: the function: cross_entropy takes logits [N, C, H, W] and classes [N, H, W], the other one [N, C, H, W].
    """
    if not isinstance(target, Tensor) or target.requires_grad or output.is_sparse or min(target.shape[-2:]) < SIDE:
        return None
    classes = name == "cross_entropy" and output.ndim == 4 and target.ndim == 3
    numbers = name != "cross_entropy" and output.ndim == 4 and output.shape == target.shape
    if not (classes or numbers) or target.is_floating_point() == classes:
        return None
    return output.detach()[:ROWS], target.detach()[:ROWS]


class Mirrored:
    """Collects, over the latest measured steps, how answers go with targets and with their mirror images."""

    def __init__(self) -> None:
        self._sums: deque[Tensor] = deque(maxlen=WINDOW)
        self._rows: deque[int] = deque(maxlen=WINDOW)

    def add(self, name: str, pair: tuple[Tensor, Tensor]) -> None:
        output, target = pair
        if len(output) < 2:
            return
        if name == "cross_entropy":
            kind = target.flatten().mode().values
            answer = 1 - output.float().softmax(1).gather(1, kind.expand(len(output), 1, *output.shape[2:])).squeeze(1)
            target = (target != kind).float()
        else:
            answer, target = output.float().sigmoid(), target.float()
        # What all rows share, as a frame, says nothing of a row.
        answer, target = answer - answer.mean(0), target - target.mean(0)
        self._sums.append(torch.stack([_moments(answer, target, axis) for axis in AXES]))
        self._rows.append(len(output))

    def measured(self) -> Tensor | None:
        """:data:`KEYS` for each of :data:`AXES`, float32 [2, 5]; None of fewer steps.

        A target is the sum of a part that is its own mirror image and one that changes its sign. ``common`` and ``own``
        are the coefficients of the answers on these parts, ``alike`` is the correlation of the first parts, and
        ``share`` is that of the second one in the targets.
        """
        if len(self._sums) < WINDOW:
            return None
        sums = torch.stack(list(self._sums)).sum(0)
        product, answer, even, change, odd = sums.unbind(1)
        tiny = 1e-30
        return torch.stack(
            [
                product / (answer * even).sqrt().clamp_min(tiny),
                product / even.clamp_min(tiny),
                change / odd.clamp_min(tiny),
                odd / (even + odd).clamp_min(tiny),
                torch.full_like(odd, sum(self._rows)),
            ],
            1,
        )


def _moments(answer: Tensor, target: Tensor, axis: int) -> Tensor:
    even, other = (target + target.flip(axis)) / 2, (answer + answer.flip(axis)) / 2
    odd, change = target - even, answer - other
    pairs = ((other, even), (other, other), (even, even), (change, odd), (odd, odd))
    return torch.stack([(one * two).mean() for one, two in pairs])
