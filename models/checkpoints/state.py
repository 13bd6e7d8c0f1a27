"""The state that training needs besides the weights, as tensors and JSON: nothing in it can be executed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lvmcheck.errors import InputError


@dataclass(frozen=True)
class TrainingState:
    """Named tensors and JSON values; the parts of :func:`pack` live under their own prefix."""

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


def capture_random(device: torch.device) -> TrainingState:
    """The generators of torch (CPU, and CUDA where used), Python and numpy's legacy global one."""
    version, words, gauss = random.getstate()
    keys, position, has_gauss, cached = np.random.get_state()[1:5]  # type: ignore[index]
    tensors = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.tensor(np.asarray(keys, dtype=np.int64)),
    }
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    values = {
        "python": {"version": version, "gauss": gauss},
        "numpy": {"position": int(position), "has_gauss": int(has_gauss), "cached": float(cached)},
    }
    return TrainingState(tensors, values)


def restore_random(state: TrainingState, device: torch.device) -> None:
    """Puts the generators where :func:`capture_random` found them.

    Raises:
        InputError: a generator is missing or cannot be set.
    """
    try:
        torch.set_rng_state(state.tensors["torch"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(state.tensors["cuda"], device)
        python, numpy = state.values["python"], state.values["numpy"]
        random.setstate((python["version"], tuple(state.tensors["python"].tolist()), python["gauss"]))
        keys = state.tensors["numpy"].numpy().astype(np.uint32)
        np.random.set_state(("MT19937", keys, numpy["position"], numpy["has_gauss"], numpy["cached"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError("checkpoint", f"random state cannot be restored: {error}", key="state.random") from None


def capture_optimizer(optimizer: Optimizer, model: nn.Module) -> TrainingState:
    """Per-parameter state under ``<parameter>/<field>``, which fields each parameter has, and each group's rate."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    tensors = {
        f"{names[parameter]}/{key}": value.detach().cpu().clone()
        for parameter, fields in optimizer.state.items()
        for key, value in fields.items()
    }
    values = {
        "class": type(optimizer).__name__,
        "lr": [float(group["lr"]) for group in optimizer.param_groups],
        "fields": {names[parameter]: sorted(fields) for parameter, fields in optimizer.state.items() if fields},
    }
    return TrainingState(tensors, values)


def restore_optimizer(state: TrainingState, optimizer: Optimizer, model: nn.Module) -> None:
    """Puts per-parameter state and learning rates back; the other settings stay those of ``optimizer``.

    Raises:
        InputError: another class or number of groups, or state that is missing, left over or of another shape.
    """
    if state.values.get("class") != type(optimizer).__name__:
        raise _refused(f"expected state of {type(optimizer).__name__}, got {state.values.get('class')!r}")
    names = {parameter: name for name, parameter in model.named_parameters()}
    order = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    indices = {names[parameter]: index for index, parameter in enumerate(order)}
    restored: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.tensors.items():
        name, _, entry = key.rpartition("/")
        if name not in indices:
            raise _refused(f"state of an unknown parameter {name!r}")
        if tensor.ndim and tensor.shape != order[indices[name]].shape:
            raise _refused(f"{key}: expected {list(order[indices[name]].shape)}, got {list(tensor.shape)}")
        restored.setdefault(name, {})[entry] = tensor
    if {name: sorted(entries) for name, entries in restored.items()} != state.values.get("fields"):
        raise _refused(f"expected all that was saved of {len(order)} parameters, got a part of it")
    groups, rates = optimizer.state_dict()["param_groups"], state.values.get("lr")
    if not isinstance(rates, list) or len(rates) != len(groups):
        raise _refused(f"expected the rates of {len(groups)} parameter groups, got {rates!r}")
    for group, lr in zip(groups, rates, strict=True):
        group["lr"] = lr
    optimizer.load_state_dict(
        {"state": {indices[name]: entries for name, entries in restored.items()}, "param_groups": groups}
    )


def _refused(problem: str) -> InputError:
    return InputError("checkpoint", problem, key="state.optimizer")


def pack(**parts: TrainingState) -> TrainingState:
    """Several states as one, each under its own name."""
    tensors = {f"{name}:{key}": tensor for name, part in parts.items() for key, tensor in part.tensors.items()}
    return TrainingState(tensors, {name: dict(part.values) for name, part in parts.items()})


def unpack(state: TrainingState, name: str) -> TrainingState:
    """One part of what :func:`pack` put together.

    Raises:
        InputError: there is no such part.
    """
    if name not in state.values:
        raise InputError("checkpoint", f"expected the training state {name!r}, got none", key=f"state.{name}")
    prefix = f"{name}:"
    tensors = {key.removeprefix(prefix): tensor for key, tensor in state.tensors.items() if key.startswith(prefix)}
    return TrainingState(tensors, state.values[name])
