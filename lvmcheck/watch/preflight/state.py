"""What a training step may change, saved and restored bit for bit: tensors, gradients, modes, optimizers, RNG."""

from __future__ import annotations

import copy
import random
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

_PLAIN = (int, float, bool, str, type(None))
_OWN = frozenset(vars(nn.Module())) - {"training"}


class SavedTensor:
    """Content, gradient and ``requires_grad`` of one tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.content = tensor.detach().clone()
        self.requires_grad = tensor.requires_grad
        self.leaf = tensor.is_leaf
        self.grad = tensor.grad if tensor.is_leaf else None
        self.grad_content = None if self.grad is None else self.grad.detach().clone()

    def restore(self) -> None:
        with torch.no_grad():
            _put_back(self.tensor, self.content)
            if not self.leaf:
                return
            self.tensor.requires_grad_(self.requires_grad)
            if self.grad is not None and self.grad_content is not None:
                _put_back(self.grad, self.grad_content)
            self.tensor.grad = self.grad


def _put_back(tensor: Tensor, content: Tensor) -> None:
    """Write what differs; an expanded tensor, which cannot be written at once, only if it does."""
    if tensor.shape != content.shape:
        tensor.detach().set_(content.clone())  # type: ignore[call-overload]
    elif not tensor.is_contiguous() and torch.equal(tensor, content):
        return
    else:
        tensor.detach().copy_(content)


class SavedModule:
    """The registered tensors, and the plain attributes, of one module without its children."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        registries: list[dict[str, Any]] = [module._parameters, module._buffers, module._modules]
        self.registries = [(registry, dict(registry)) for registry in registries]
        self.attributes = {key: value for key, value in vars(module).items() if key not in _OWN}
        self.copies = {key: _copy(value) for key, value in self.attributes.items()}

    def restore(self) -> None:
        for registry, saved in self.registries:
            if list(registry) != list(saved) or any(registry[key] is not saved[key] for key in saved):
                registry.clear()
                registry.update(saved)
        attributes = vars(self.module)
        for key in [key for key in attributes if key not in _OWN and key not in self.attributes]:
            del attributes[key]
        for key, value in self.attributes.items():
            attributes[key] = value
            _restore(value, self.copies[key])


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return SavedTensor(value)
    if isinstance(value, Generator):
        return value.get_state()
    return copy.copy(value) if type(value) in (list, dict, set, deque) else None


def _restore(value: Any, saved: Any) -> None:
    """Give a mutable attribute its former content."""
    if isinstance(saved, SavedTensor):
        saved.restore()
    elif isinstance(value, Generator):
        value.set_state(saved)
    elif isinstance(value, list):
        value[:] = saved
    elif isinstance(value, dict | set | deque) and saved is not None:
        value.clear()
        value.extend(saved) if isinstance(value, deque) else value.update(saved)


class SavedOptimizer:
    """Groups and state of an optimizer, by identity and content."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.state, self.groups = optimizer.state, optimizer.param_groups
        self.entries = {
            parameter: (entry, {key: _value(value) for key, value in entry.items()})
            for parameter, entry in optimizer.state.items()
        }
        self.values = [
            (group, {k: _value(v) for k, v in group.items() if k != "params"}, list(group["params"]))
            for group in self.groups
        ]
        self.plain = {key: value for key, value in vars(optimizer).items() if isinstance(value, _PLAIN)}

    def restore(self) -> None:
        self.optimizer.state, self.optimizer.param_groups = self.state, self.groups
        self.state.clear()
        for parameter, (entry, values) in self.entries.items():
            entry.clear()
            entry.update({key: _given(value) for key, value in values.items()})
            self.state[parameter] = entry
        for group, values, parameters in self.values:
            group["params"][:] = parameters
            for key in [key for key in group if key != "params" and key not in values]:
                del group[key]
            group.update({key: _given(value) for key, value in values.items()})
        del self.groups[len(self.values) :]
        self.groups[:] = [group for group, _, _ in self.values]
        added = [k for k, v in vars(self.optimizer).items() if isinstance(v, _PLAIN) and k not in self.plain]
        for key in added:
            delattr(self.optimizer, key)
        vars(self.optimizer).update(self.plain)


def _value(value: Any) -> Any:
    return SavedTensor(value) if isinstance(value, Tensor) else copy.deepcopy(value)


def _given(saved: Any) -> Any:
    if isinstance(saved, SavedTensor):
        saved.restore()
        return saved.tensor
    return copy.deepcopy(saved)


class SavedGenerators:
    """The global random generators of Python, numpy (where it is loaded), torch and its devices."""

    def __init__(self) -> None:
        self.python = random.getstate()
        numpy = sys.modules.get("numpy")
        self.numpy = None if numpy is None else numpy.random.get_state()
        self.torch = torch.get_rng_state()
        cuda = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        self.cuda = torch.cuda.get_rng_state_all() if cuda else None
        self.mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None

    def restore(self) -> None:
        random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        if self.cuda is not None:
            torch.cuda.set_rng_state_all(self.cuda)
        if self.mps is not None:
            torch.mps.set_rng_state(self.mps)

    def drawn_from(self) -> bool:
        """Whether a generator of torch has been used since."""
        moved = not torch.equal(self.torch, torch.get_rng_state())
        if self.cuda is not None:
            pairs = zip(self.cuda, torch.cuda.get_rng_state_all(), strict=True)
            moved |= any(not torch.equal(a, b) for a, b in pairs)
        return moved


class Snapshot:
    """Everything as it was when it was made."""

    def __init__(self, roots: Sequence[nn.Module], optimizers: Sequence[Optimizer], schedulers: Sequence[Any]) -> None:
        modules = {id(module): module for root in roots for module in root.modules()}
        self.modules = [SavedModule(module) for module in modules.values()]
        tensors = {
            id(tensor): tensor
            for module in modules.values()
            for tensor in (*module._parameters.values(), *module._buffers.values())
            if tensor is not None
        }
        self.tensors = [SavedTensor(tensor) for tensor in tensors.values()]
        self.optimizers = [SavedOptimizer(optimizer) for optimizer in optimizers]
        held = {id(p): p for o in optimizers for g in o.param_groups for p in g["params"] if id(p) not in tensors}
        self.tensors += [SavedTensor(parameter) for parameter in held.values()]
        self.schedulers = [(scheduler, copy.deepcopy(scheduler.state_dict())) for scheduler in schedulers]
        self.generators = SavedGenerators()

    def restore(self) -> None:
        for scheduler, state in self.schedulers:
            scheduler.load_state_dict(copy.deepcopy(state))
        parts: list[SavedModule | SavedTensor | SavedOptimizer] = [*self.modules, *self.tensors, *self.optimizers]
        for part in parts:
            part.restore()
        self.generators.restore()
