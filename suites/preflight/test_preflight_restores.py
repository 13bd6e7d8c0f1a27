"""Everything is as before: parameters, buffers, gradients, modes, optimizer, scheduler, generators, batch."""

from __future__ import annotations

import contextlib
import copy
import os
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lvmcheck
from lvmcheck.watch.preflight.nested import leaves
from suites.preflight.faults import BROKEN, TWINS
from suites.preflight.healthy import TEN, recurrent
from suites.preflight.ordinary import ORDINARY

FULL = os.environ.get("LVM_RELIABILITY") == "full"
PROGRAMS = {**TEN, **{name: BROKEN[name][2] for name in [*BROKEN][:: 1 if FULL else 3]}}
if FULL:
    PROGRAMS |= {**TWINS, **ORDINARY}


def state(arguments: dict[str, Any]) -> dict[str, Any]:
    """Bits and identities of all that a training step touches."""
    model, optimizers = arguments["model"], arguments["optimizer"]
    optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
    found: dict[str, Any] = {f"mode {name}": module.training for name, module in model.named_modules()}
    for name, tensor in [*model.named_parameters(remove_duplicate=False), *model.named_buffers()]:
        grad = tensor.grad if tensor.is_leaf else None
        found[name] = (id(tensor), bits(tensor), tensor.requires_grad, id(grad), None if grad is None else bits(grad))
    for module in model.modules():
        found[f"attributes {id(module)}"] = {k: bits(v) for k, v in vars(module).items() if isinstance(v, torch.Tensor)}
    for i, optimizer in enumerate(optimizers):
        found[f"optimizer {i}"] = tensors_as_bits(optimizer.state_dict())
        found[f"parameters {i}"] = [id(p) for group in optimizer.param_groups for p in group["params"]]
        found[f"state {i}"] = {(id(p), k): id(v) for p, s in optimizer.state.items() for k, v in s.items()}
    if "scheduler" in arguments:
        found["scheduler"] = copy.deepcopy(arguments["scheduler"].state_dict())
    found["batch"] = {path: (id(tensor), bits(tensor)) for path, tensor in leaves(arguments["batch"]).items()}
    found["python"], found["torch"] = random.getstate(), bits(torch.get_rng_state())
    found["numpy"] = str(np.random.get_state())
    return found


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def tensors_as_bits(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return bits(value)
    if isinstance(value, dict):
        return {key: tensors_as_bits(inner) for key, inner in value.items()}
    return [tensors_as_bits(inner) for inner in value] if isinstance(value, list | tuple) else value


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [key for key in {**one, **other} if one.get(key) != other.get(key)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_all_state_is_restored(name: str) -> None:
    arguments = PROGRAMS[name]()
    before = state(arguments)
    lvmcheck.preflight(**arguments, budget_s=2)
    assert differences(before, state(arguments)) == []


def test_state_of_a_run_under_way_is_restored() -> None:
    arguments = recurrent()
    model, (x, y) = arguments["model"], arguments["batch"]
    for _ in range(3):
        nn.functional.mse_loss(model(x), y).backward()
        arguments["optimizer"].step()
        arguments["scheduler"].step()
    model.head.eval()
    model.head.bias.requires_grad_(False)
    before = state(arguments)
    lvmcheck.preflight(**arguments)
    assert differences(before, state(arguments)) == []


@pytest.mark.parametrize("count", [1, 2, 5, 30])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_state_is_restored_after_an_exception(count: int, kind: type[BaseException]) -> None:
    arguments = recurrent()
    calls = 0

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == count:
            raise kind
        return nn.functional.mse_loss(output, target)

    arguments["loss"] = loss
    before = state(arguments)
    with contextlib.suppress(kind, lvmcheck.InputError):
        lvmcheck.preflight(**arguments, budget_s=60)
    assert calls >= count
    assert differences(before, state(arguments)) == []
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in arguments["model"].modules())


def test_attributes_of_modules_are_restored() -> None:
    class Remembers(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 2)
            self.count, self.history, self.by_name = 0, [1.0], {"a": 1}
            self.noise = torch.Generator().manual_seed(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count += 1
            self.history.append(float(x.sum()))
            self.by_name["b"] = 2
            self.later = x
            torch.rand(1, generator=self.noise)
            return super().forward(x)

    model = Remembers()
    noise = model.noise.get_state()
    lvmcheck.preflight(model, (torch.randn(8, 4), torch.arange(8) % 2), nn.functional.cross_entropy)
    assert (model.count, model.history, model.by_name) == (0, [1.0], {"a": 1})
    assert not hasattr(model, "later")
    assert torch.equal(model.noise.get_state(), noise)
