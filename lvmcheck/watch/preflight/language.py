"""Language models: which input holds the tokens, and how far the targets are shifted against them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lvmcheck.watch.preflight.setup import Setup

SHIFTS = (1, 0, 2, -1)
AGREE = 0.98
IGNORED = -100


@dataclass(frozen=True)
class Tokens:
    """The tokens of a model's input and the targets of its cross entropy.

    Attributes:
        path: the input that holds them, int [N, T].
        shift: the target of position t is the token at t + shift; None where none of the usual shifts agrees.
        targets: int [N, T'], as they went into the loss.
    """

    path: str
    tokens: Tensor
    targets: Tensor
    shift: int | None
    ignored: int


def tokens(setup: Setup) -> Tokens | None:
    """Tokens and targets of the first cross entropy over positions; None where there is none."""
    integers = {
        path: tensor
        for path, tensor in setup.call.inputs.items()
        if tensor.ndim == 2 and not tensor.is_floating_point() and tensor.numel() and int(tensor.max()) > 1
    }
    for operation in setup.evaluation.of("cross_entropy", "nll_loss"):
        target = operation.argument(1, "target")
        ignored = operation.argument(4, "ignore_index", IGNORED)
        for path, tensor in integers.items():
            rows = len(tensor)
            if target.is_floating_point() or target.numel() % rows or target.numel() // rows < 2:
                continue
            targets = target.reshape(rows, -1)
            if abs(targets.shape[1] - tensor.shape[1]) <= 2:
                return Tokens(path, tensor, targets, shift_of(tensor, targets, ignored), ignored)
    return None


def shift_of(given: Tensor, targets: Tensor, ignored: int = IGNORED) -> int | None:
    """The shift at which the targets are the tokens."""
    shares = {shift: _agreement(given, targets, shift, ignored) for shift in SHIFTS}
    best = max(SHIFTS, key=lambda shift: shares[shift])
    return best if shares[best] >= AGREE else None


def _agreement(given: Tensor, targets: Tensor, shift: int, ignored: int) -> float:
    """Share of the targets that are the token at their position + shift, where both exist."""
    low, high = max(0, -shift), min(targets.shape[1], given.shape[1] - shift)
    if high - low < 2:
        return 0.0
    there, here = targets[:, low:high], given[:, low + shift : high + shift]
    used = there != ignored
    return float((there == here)[used].float().mean()) if bool(used.any()) else 0.0
