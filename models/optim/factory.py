"""The optimizer that a config describes, for a model."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW

from lvmcheck.errors import nearest
from models.optim.config import OptimizerConfig, refused
from models.optim.groups import parameter_groups
from models.optim.mugrokfast import MuGrokfast


def build(model: nn.Module, config: OptimizerConfig, mugrokfast: type[MuGrokfast] = MuGrokfast) -> MuGrokfast | AdamW:
    """MuGrokfast or AdamW over the named groups of ``model``, each with its own rate; scalars are not decayed.

    Args:
        mugrokfast: the class to use for kind "mugrokfast".

    Raises:
        InputError: no trainable parameter, or a rate for a group that the model does not have.
    """
    groups = parameter_groups(model)
    names = [group["name"] for group in groups]
    for name in config.group_lr:
        if name not in names:
            raise refused(f"group_lr.{name}", "the model has no such parameter group", nearest(name, names))
    for group in groups:
        group |= {"lr": config.rate(group["name"])}
        group["weight_decay"] = 0.0 if group["name"] == "scalar" else config.weight_decay
    if config.kind == "adamw":
        fused = all(parameter.device.type in ("cpu", "cuda") for parameter in model.parameters())
        return AdamW([{**group, "kind": "adamw"} for group in groups], lr=config.lr, fused=fused)
    assert config.muon_lr is not None
    assert config.momentum is not None
    assert config.grokfast_alpha is not None
    assert config.grokfast_lambda is not None
    return mugrokfast(
        groups,
        lr=config.lr,
        muon_lr=config.muon_lr,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        grokfast_alpha=config.grokfast_alpha,
        grokfast_lambda=config.grokfast_lambda,
    )
