"""parameters_move: one optimizer step changes every parameter that has a gradient, and nothing that is frozen."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Finding, Outcome, failed, passed, warning
from lvmcheck.watch.measure.modules import useless_biases
from lvmcheck.watch.preflight.probes.gradients import dense
from lvmcheck.watch.preflight.setup import Setup, SkipProbe, listed

FIXES = {
    "not_moved": "check that the optimizer holds these parameters, that its learning rate is not 0, and that updates"
    " are not lost in the rounding of half precision",
    "lr_zero": "set a learning rate above 0 in every group",
    "frozen_moves": "set requires_grad=False and leave these parameters out of the optimizer: weight decay and momentum"
    " move them without a gradient, too",
    "frozen_statistics_move": "put frozen batch norms into eval mode: their running statistics still follow the data",
}
LR = 1e-3


def measure(setup: Setup) -> Outcome:
    optimizers = setup.needs_optimizer()
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    if not setup.schedulers and all(float(group.get("lr", 1)) == 0 for group in groups):
        return failed(Finding(code="lr_zero", measured=0.0, phrase="the learning rate is {measured} in every group"))
    for group in groups:
        if float(group.get("lr", 1)) == 0:  # the first step of a warm-up
            group["lr"] = LR
    setup.train()
    before = {name: parameter.detach().clone() for name, parameter in setup.named()}
    statistics = frozen_statistics(setup.model)
    setup.step(setup.small, optimizers)
    moved = {name for name, parameter in setup.named() if not torch.equal(before[name], parameter.detach())}
    held = {id(parameter) for group in groups for parameter in group["params"]}
    rounded = useless_biases(setup.model)  # before a norm: what gradient there is, is rounding
    must = [
        name
        for name, p in setup.trainable()
        if id(p) in held and name not in rounded and p.grad is not None and bool(dense(p.grad).any())
    ]
    if not must:
        raise SkipProbe("no parameter of the optimizer has a gradient (see gradients)")
    still = [name for name in must if name not in moved]
    if still:
        return failed(_finding("not_moved", still, "parameters have a gradient and are not changed by a step"))
    fixed = [name for name, p in setup.named() if not p.requires_grad or setup.is_frozen(name)]
    wrong = [name for name in fixed if name in moved]
    if wrong:
        return failed(_finding("frozen_moves", wrong, "frozen parameters are changed by a step"))
    drifting = [name for name, mean, saved in statistics if not torch.equal(mean, saved)]
    if drifting:
        return warning(_finding("frozen_statistics_move", drifting, "frozen batch norms change their statistics"))
    return passed(
        _finding("moved", [], "parameters do not move, or move although they are frozen"), evaluated=len(must)
    )


def frozen_statistics(model: nn.Module) -> list[tuple[str, Tensor, Tensor]]:
    """Name, running mean and a copy of it of batch norms whose parameters are frozen, in models with trainable ones."""
    found = []
    for name, module in model.named_modules():
        frozen = isinstance(module, _BatchNorm) and module.weight is not None and not module.weight.requires_grad
        if frozen and module.running_mean is not None:
            found.append((name, module.running_mean, module.running_mean.clone()))
    return found


def _finding(code: str, names: list[str], what: str) -> Finding:
    return Finding(
        code=code,
        measured=len(names),
        bounds=(equal(0),),
        evidence=listed(names, "modules" if code == "frozen_statistics_move" else "parameters"),
        phrase=f"{{measured}} {what}",
    )
