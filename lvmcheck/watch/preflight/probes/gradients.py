"""gradients: the gradient reaches every trainable parameter within a few steps, and is finite."""

from __future__ import annotations

import torch

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, passed
from lvmcheck.watch.measure.modules import useless_biases
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, listed

FIXES = {
    "not_finite": "look for a division by 0, a square root or log of 0, or an overflow in half precision",
    "no_gradient": "look for detach(), no_grad(), .data, .item() or argmax on the way from these parameters to the"
    " loss; freeze with requires_grad=False what is not meant to be trained",
    "zero_gradient": "look for dead units, weights that are all zero, or a product with a constant 0 behind these",
}
STEPS = 3
KEYS = frozenset({"key", "key_proj", "k_proj", "wk", "to_k", "keys"})
"""Layers whose bias adds the same to the score of every position."""


def measure(setup: Setup) -> Outcome:
    setup.needs_gradient()
    setup.train()
    optimizers = setup.own_optimizer()
    reached: set[str] = set()
    none: list[str] = []
    for step in range(STEPS):
        setup.step(setup.batch if step else setup.small, optimizers)  # all rows where a few do not reach everything
        grads = [(name, parameter.grad) for name, parameter in setup.trainable()]
        bad = [name for name, grad in grads if grad is not None and not bool(dense(grad).isfinite().all())]
        if bad:
            return failed(_finding("not_finite", bad, step + 1))
        none = [name for name, grad in grads if grad is None]
        reached |= {name for name, grad in grads if grad is not None and bool(dense(grad).any())}
        if len(reached) + len(none) == len(grads):
            break
    names = [name for name, _ in setup.trainable()]
    if not names:
        raise SkipProbe("no parameter is trainable")
    if none:
        return failed(_finding("no_gradient", none, step + 1))
    silent = useless_biases(setup.model) | {name for name in names if _is_key_bias(name)}
    zero = [name for name in names if name not in reached and name not in silent]
    return failed(_finding("zero_gradient", zero, step + 1)) if zero else passed(_reached(len(names)))


def dense(grad: torch.Tensor) -> torch.Tensor:
    return grad.coalesce().values() if grad.is_sparse else grad


def _is_key_bias(name: str) -> bool:
    parts = name.split(".")
    return parts[-1] == "bias" and len(parts) > 1 and parts[-2] in KEYS


def _finding(code: str, names: list[str], steps: int) -> Finding:
    what = {"not_finite": "a gradient that is NaN or inf", "no_gradient": "no gradient"}.get(code, "gradient 0")
    return Finding(
        code=code,
        measured=len(names),
        bounds=(equal(0),),
        evidence=(*listed(names), Fact("steps", steps, "steps")),
        phrase=f"{{measured}} trainable parameters have {what} in {{steps}}",
    )


def _reached(count: int) -> Finding:
    return Finding(code="reached", measured=count, phrase="finite gradients in all {measured} trainable parameters")
