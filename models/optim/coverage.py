"""How many numbers of a model its optimizer does not train, and which parameters they are in."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.optim import Optimizer

from lvmcheck.watch.measure.coverage import coverage

NAMED = 20
"""Parameters of each kind that are recorded by name."""


def coverage_counts(model: nn.Module, optimizer: Optimizer) -> dict[str, float]:
    """What the check optimizer_coverage reads, counted in numbers (elements of parameters).

    - ``outside``: trainable, and in no group. ``frozen``: of the model, without ``requires_grad``.
    - ``foreign``: in a group, and not of the model. ``twice``: in two groups, or twice in one.
    - ``outside/NAME`` and ``frozen/NAME``: the same for each of the first :data:`NAMED` parameters.
    """
    found = coverage(model, [optimizer])
    own = {name: parameter.numel() for name, parameter in model.named_parameters()}
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    known = {id(parameter) for parameter in model.parameters()}
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    foreign = {id(parameter): parameter.numel() for parameter in held if id(parameter) not in known}
    return {
        **_counted("outside", found.missing, own),
        **_counted("frozen", frozen, own),
        "foreign": float(sum(foreign.values())),
        "twice": float(sum(own.get(name, 0) for name in found.twice)),
    }


def _counted(kind: str, names: Iterable[str], sizes: dict[str, int]) -> dict[str, float]:
    listed = list(names)
    by_name = {f"{kind}/{name}": float(sizes[name]) for name in listed[:NAMED]}
    return {kind: float(sum(sizes[name] for name in listed)), **by_name}
