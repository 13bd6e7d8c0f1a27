"""inputs_matter: every tensor that goes into the model, and every feature of it, has an influence on the output."""

from __future__ import annotations

import torch
from torch import Tensor

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, passed
from lvmcheck.watch.preflight.masks import masks
from lvmcheck.watch.preflight.nested import leaves
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, differs, listed

FIXES = {
    "tensor_ignored": "use the tensor in forward(), or do not pass it",
    "features_ignored": "check the indexing in forward(), and for weights that are 0 for these features",
}


def measure(setup: Setup) -> Outcome:
    inputs = {path: tensor for path, tensor in setup.call.inputs.items() if path not in masks(setup.call.inputs)}
    inputs = {path: tensor for path, tensor in inputs.items() if tensor.numel() > 1}
    if not inputs:
        raise SkipProbe("nothing but masks goes into the model")
    setup.wake()
    setup.model.eval()
    plain = setup.outputs()
    inputs = {path: tensor for path, tensor in inputs.items() if not torch.equal(other(tensor), tensor)}
    ignored = [path for path, tensor in inputs.items() if not has_effect(setup, plain, path, other(tensor))]
    if ignored:
        return failed(
            Finding(
                code="tensor_ignored",
                measured=len(ignored),
                bounds=(equal(0),),
                evidence=listed(ignored, "inputs"),
                phrase="{measured} inputs have no influence on the output",
            )
        )
    counted = 0
    for path, tensor in inputs.items():
        axis = feature_axis(tensor)
        if axis is None:
            continue
        dead = dead_features(setup, path, tensor, axis)
        counted += tensor.shape[axis]
        if dead:
            evidence = (
                *listed([str(i) for i in dead], "features"),
                Fact("input", path),
                Fact("of", tensor.shape[axis]),
            )
            phrase = "{measured} of {of} features of input {input} have no influence on the output"
            bounds = (equal(0),)
            code, count = "features_ignored", len(dead)
            return failed(Finding(code=code, measured=count, bounds=bounds, evidence=evidence, phrase=phrase))
    evidence = (Fact("inputs", len(inputs), "inputs"), Fact("features", counted, "features"))
    phrase = "{inputs} and {features} influence the output"
    return passed(Finding(code="used", measured=len(inputs), evidence=evidence, phrase=phrase))


def has_effect(setup: Setup, plain: dict[str, Tensor], path: str, changed: Tensor) -> bool:
    """Whether an input with another content changes the output, or is refused."""
    try:
        return differs(plain, setup.outputs({path: changed})) > 0
    except SkipProbe:
        return True


def other(tensor: Tensor) -> Tensor:
    """A tensor of the same kind and range with other values."""
    if tensor.dtype == torch.bool:
        return ~tensor
    if not tensor.is_floating_point():
        real = tensor >= 0  # -100 stays what it is
        if not bool(real.any()):
            return tensor.clone()
        low, high = int(tensor[real].min()), int(tensor.max())
        if low == high:
            return (tensor + 1 if low == 0 else tensor - 1).where(real, tensor)
        count = high - low + 1
        return (low + (tensor - low + count // 2) % count).where(real, tensor)
    scale = float(tensor.float().std()) if tensor.numel() > 1 else 1.0
    noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)).to(tensor)
    return tensor + noise * (scale or 1.0)


def feature_axis(tensor: Tensor) -> int | None:
    """The dimension of features: channels of pictures, else the last one of two or three."""
    if not tensor.is_floating_point() or tensor.ndim not in (2, 3, 4):
        return None
    return 1 if tensor.ndim == 4 else tensor.ndim - 1


def dead_features(setup: Setup, path: str, tensor: Tensor, axis: int) -> list[int]:
    """Features without gradient in any row which, changed by themselves, change no output either."""
    setup.snapshot.generators.restore()
    leaf = tensor.clone().requires_grad_()
    outputs = [
        o for o in leaves(setup.call.run({path: leaf.clone()})).values() if o.is_floating_point() and o.requires_grad
    ]
    if not outputs:
        return []
    weights = torch.Generator().manual_seed(0)
    total = sum((o.float() * torch.randn(o.shape, generator=weights).to(o.device)).sum() for o in outputs)
    grad: Tensor | None = torch.autograd.grad(total, leaf, allow_unused=True)[0]  # type: ignore[arg-type]
    if grad is None:
        return []
    strength = grad.abs().amax(dim=[i for i in range(grad.ndim) if i != axis])
    suspects = torch.nonzero(strength == 0).flatten().tolist()
    plain, changed = setup.outputs(), other(tensor)
    dead = []
    for index in suspects[:64]:
        tried = tensor.clone()
        tried.select(axis, index).copy_(changed.select(axis, index))
        if not has_effect(setup, plain, path, tried):
            dead.append(index)
    return dead
