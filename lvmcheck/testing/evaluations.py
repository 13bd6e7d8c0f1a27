"""What the checks of a language or vector suite read, measured of any model: ``rec.evaluation(NAME, ...)``.

Each function returns the metrics of one evaluation or probe, under the names that its checks read: ``causality`` for
the check causal, ``purity`` for eval_is_pure, ``batch_invariance`` for batch_invariance, ``coverage_counts`` for
optimizer_coverage, ``term_gradient_norms`` for the probe term_grad_norm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

POSITIONS = 8
"""Places of a row where a token is exchanged."""
NAMED = 20
"""Parameters of each kind that are recorded by name."""

Logits = Callable[[Tensor], Tensor]
"""From tokens [rows, positions] to logits [rows, positions, vocabulary]."""


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Puts buffers, modes and random states back afterwards: a measurement changes nothing about the run."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    devices = sorted({p.device for p in model.parameters() if p.device.type == "cuda"}, key=str)
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            with torch.no_grad():
                for name, buffer in model.named_buffers():
                    buffer.copy_(buffers[name])
            for module, training in modes:
                module.training = training


def causality(logits: Logits, tokens: Tensor, vocabulary: int) -> dict[str, float]:
    """Exchanges single tokens of one row [1, T]: logits before them must not change, those from there on must.

    All variants are rows of one call, so that a state kept between calls is no part of the answer.
    """
    length = tokens.shape[1]
    positions = sorted(
        {max(1, round((k + 1) * (length - 1) / POSITIONS)) for k in range(POSITIONS)} & set(range(1, length))
    )
    rows = tokens.repeat(1 + len(positions), 1)
    for row, position in enumerate(positions, 1):
        rows[row, position] = (rows[row, position] + 1) % vocabulary
    found = logits(rows).float()
    change = (found[1:] - found[:1]).abs().amax(dim=2)
    before = max(float(change[row, :position].max()) for row, position in enumerate(positions))
    after = min(float(change[row, position:].max()) for row, position in enumerate(positions))
    return {"max_change_before": before, "change_after": after, "positions": float(len(positions))}


def purity(model: nn.Module, logits: Logits, one: Tensor, other: Tensor) -> dict[str, float]:
    """Whether evaluating leaves anything behind: the same batch twice, two batches in both orders, all tensors."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first, again = logits(one).float(), logits(one).float()
    logits(other)
    after_other = logits(one).float()
    changed = sum(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return {
        "repeat_difference": float((first - again).abs().max()),
        "order_difference": float((again - after_other).abs().max()),
        "state_changed": float(changed),
    }


def batch_invariance(logits: Logits, tokens: Tensor) -> dict[str, float]:
    """Largest difference of a row's logits alone and beside the others [R, T]."""
    together = logits(tokens).float()
    alone = torch.cat([logits(row).float() for row in torch.split(tokens, 1)])
    return {"max_difference": float((together - alone).abs().max())}


def parameter_gradients(loss: Tensor, parameters: Mapping[str, nn.Parameter]) -> dict[str, float]:
    """Root mean square gradient of a loss by parameter, 0 where none arrives; ``.grad`` and the graph stay."""
    found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
    return {
        name: 0.0 if gradient is None else float(gradient.square().mean().sqrt())
        for name, gradient in zip(parameters, found, strict=True)
    }


def term_gradient_norms(
    terms: Mapping[str, tuple[float, Tensor]], parameters: Sequence[nn.Parameter]
) -> dict[str, float]:
    """Global gradient norm of each **weighted** term over the parameters; ``.grad`` and the graph stay as they were.

    A term that no parameter can change, such as a mean of integers, has the norm 0.
    """
    norms = {}
    for name, (weight, value) in terms.items():
        if not value.requires_grad:
            norms[name] = 0.0
            continue
        gradients = torch.autograd.grad(weight * value, parameters, retain_graph=True, allow_unused=True)
        present = [gradient for gradient in gradients if gradient is not None]
        norms[name] = float(nn.utils.get_total_norm(present))
    return norms


def coverage_counts(model: nn.Module, optimizer: Optimizer) -> dict[str, float]:
    """What the check optimizer_coverage reads, counted in numbers (elements of parameters).

    - ``outside``: trainable, and in no group. ``frozen``: of the model, without ``requires_grad``.
    - ``foreign``: in a group, and not of the model. ``twice``: in two groups, or twice in one.
    - ``outside/NAME`` and ``frozen/NAME``: the same for each of the first :data:`NAMED` parameters.
    """
    own = dict(model.named_parameters())
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    times = Counter(map(id, held))
    known = {id(parameter) for parameter in own.values()}
    outside = {name: p.numel() for name, p in own.items() if p.requires_grad and not times[id(p)]}
    frozen = {name: p.numel() for name, p in own.items() if not p.requires_grad}
    foreign = {id(parameter): parameter.numel() for parameter in held if id(parameter) not in known}
    twice = sum(p.numel() for p in own.values() if times[id(p)] > 1)
    return {
        **_counted("outside", outside),
        **_counted("frozen", frozen),
        "foreign": float(sum(foreign.values())),
        "twice": float(twice),
    }


def _counted(kind: str, sizes: Mapping[str, int]) -> dict[str, float]:
    by_name = {f"{kind}/{name}": float(size) for name, size in list(sizes.items())[:NAMED]}
    return {kind: float(sum(sizes.values())), **by_name}
