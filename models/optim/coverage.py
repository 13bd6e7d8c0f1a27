"""How many numbers of a model its optimizer does not train, and which parameters they are in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from torch import nn
from torch.optim import Optimizer

NAMED = 20
"""Parameters of each kind that are recorded by name."""


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
