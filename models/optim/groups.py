"""Which rule updates which parameter."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lvmcheck.errors import InputError
from models.optim.config import GROUPS


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Every trainable parameter in exactly one group; groups without any are left out.

    - "embedding": tables of ``nn.Embedding``, and heads tied to one (once). A step changes the few rows that the batch
      names, so there is no map between layers to balance.
    - "hidden": the other matrices with at least two rows and columns; an untied head is among them.
    - "scalar": norms, biases, gates' vectors, one-row matrices and tensors of three or more axes.

    Returns:
        ``{"name", "params", "kind"}`` with kind "muon" or "adamw", in the order of ``model.parameters()``.

    Raises:
        InputError: the model has no trainable parameter.
    """
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
    found: dict[str, list[nn.Parameter]] = {name: [] for name in GROUPS}
    for parameter in model.parameters():
        if parameter.requires_grad:
            found["embedding" if id(parameter) in tables else _by_shape(parameter)].append(parameter)
    if not any(found.values()):
        raise InputError("optimizer", f"{type(model).__name__} has no trainable parameter", key="run.model")
    return [{"name": name, "params": params, "kind": GROUPS[name]} for name, params in found.items() if params]


def _by_shape(parameter: Tensor) -> str:
    return "hidden" if parameter.ndim == 2 and min(parameter.shape) > 1 else "scalar"
