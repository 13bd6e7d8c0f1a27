"""What a forward pass can reach beside tensors of its model: counters, memories and generators, saved and put back.

A model that is called once more must leave no trace. Its modules' attributes, and the globals, closures and default
arguments that their code names, are walked; what is not understood, such as an open file, is a reason not to call it.
"""

from __future__ import annotations

import dis
import enum
import functools
import logging
import random
import re
import sys
import sysconfig
import types
import weakref
from collections import UserDict, UserList, deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

MOST, LARGEST = 20_000, 1 << 24
"""Values that are walked, and elements of tensors and arrays that are copied, at most."""
PLAIN = (
    *(int, float, complex, str, bytes, type(None), types.EllipsisType, slice, range, re.Pattern, enum.Enum),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format, torch.finfo, torch.iinfo),
    *(types.ModuleType, types.MappingProxyType, types.GenericAlias, logging.Logger, weakref.ref),
)
SPEAKS = frozenset({"print", "open", "input", "exec", "eval"})
"""Builtins that reach further."""
_OWN = frozenset(vars(nn.Module()))
_PATHS = (sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib"))
_INSTALLED = ("<frozen", *{path for path in _PATHS if path})


class OutOfReachError(Exception):
    """Something that the model uses cannot be saved; the message says what."""


class Reach:
    """Everything as it was when this was made.

    Args:
        model: what will be called; its parameters and buffers are not saved here.

    Raises:
        OutOfReachError: calling it may leave a trace.
    """

    def __init__(self, model: nn.Module) -> None:
        self._inside = {id(module) for module in model.modules()}
        self._seen: dict[int, Any] = {}
        self._undo: list[Callable[[], None]] = []
        self._elements = 0
        _nobody_else_sees()
        waiting: list[Any] = []
        for module in model.modules():
            registered = (*module._parameters.values(), *module._buffers.values())
            self._seen.update((id(tensor), tensor) for tensor in registered if tensor is not None)
        for module in model.modules():
            self._attributes(module, waiting, skip=_OWN)
            waiting += [type(module), *module._forward_pre_hooks.values()]
        while waiting:
            value = waiting.pop()
            if isinstance(value, PLAIN) or id(value) in self._seen or id(value) in self._inside:
                continue
            self._seen[id(value)] = value
            if len(self._seen) > MOST:
                raise OutOfReachError("it holds too much to be put back")
            self._visit(value, waiting)

    def restore(self) -> None:
        """Put everything back that has changed."""
        for undo in self._undo:
            undo()

    # -- kinds of values -----------------------------------------------------------------------------------------------
    def _visit(self, value: Any, waiting: list[Any]) -> None:
        numpy = sys.modules.get("numpy")
        if isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, type):
            self._class(value, waiting)
        elif isinstance(value, types.FunctionType):
            self._function(value, waiting)
        elif isinstance(value, types.MethodType):
            waiting += [value.__func__, value.__self__]
        elif isinstance(value, staticmethod | classmethod | functools.partial):
            waiting += [getattr(value, "__func__", None), *_given(value)]
        elif isinstance(value, property):
            waiting += [value.fget]
        elif isinstance(value, types.BuiltinFunctionType):
            waiting.append(None if isinstance(value.__self__, types.ModuleType) else value.__self__)
        elif isinstance(value, list | dict | set | deque | UserDict | UserList | tuple | frozenset):
            self._container(value, waiting)
        elif isinstance(value, torch.Generator):
            state = value.get_state()
            self._undo.append(lambda: _set_state(value, state))
        elif isinstance(value, random.Random):
            self._undo.append(functools.partial(value.setstate, value.getstate()))
        elif numpy is not None and isinstance(value, numpy.random.Generator | numpy.random.RandomState):
            self._drawing(value)
        elif numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
            self._array(value)
        elif not _stateless(value):
            self._object(value, waiting)

    def _tensor(self, tensor: Tensor) -> None:
        if tensor.grad_fn is not None:
            raise OutOfReachError("it keeps tensors of its last call")
        self._count(tensor.numel())
        version, content = tensor._version, tensor.detach().clone()

        def undo() -> None:
            if tensor._version != version:
                with torch.no_grad():
                    tensor.resize_(content.shape).copy_(content)

        self._undo.append(undo)

    def _array(self, array: Any) -> None:
        if array.dtype.hasobject:
            raise OutOfReachError("it holds an array of objects")
        self._count(array.size)
        if array.ndim and array.flags.writeable:
            self._undo.append(functools.partial(sys.modules["numpy"].copyto, array, array.copy()))

    def _count(self, elements: int) -> None:
        self._elements += elements
        if self._elements > LARGEST:
            raise OutOfReachError("it holds too much to be put back")

    def _drawing(self, generator: Any) -> None:
        if hasattr(generator, "bit_generator"):
            bits = generator.bit_generator
            self._undo.append(functools.partial(setattr, bits, "state", bits.state))
        else:
            self._undo.append(functools.partial(generator.set_state, generator.get_state()))

    def _container(self, value: Any, waiting: list[Any]) -> None:
        if isinstance(value, tuple | frozenset):
            waiting += value
            return
        if len(value) > MOST:
            raise OutOfReachError("it holds too much to be put back")
        before, marks = dict(value) if isinstance(value, Mapping) else list(value), _marks(value)
        waiting += [*before, *before.values()] if isinstance(before, dict) else before

        def undo() -> None:
            if _marks(value) == marks:
                return
            if isinstance(value, list | UserList):
                value[:] = before
                return
            value.clear()
            value.extend(before) if isinstance(value, deque) else value.update(before)

        self._undo.append(undo)

    def _function(self, function: types.FunctionType, waiting: list[Any]) -> None:
        waiting += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), vars(function)]
        if _installed(function.__code__.co_filename):
            return
        for cell in function.__closure__ or ():
            with_content = _content(cell)
            waiting += with_content
            self._undo += [functools.partial(setattr, cell, "cell_contents", content) for content in with_content]
        space = function.__globals__
        for name in _names(function.__code__):
            if name in space:
                waiting.append(space[name])
                if isinstance(space[name], PLAIN):
                    self._undo.append(functools.partial(space.__setitem__, name, space[name]))
            elif name in SPEAKS:
                raise OutOfReachError(f"its code calls {name}")

    def _class(self, kind: type, waiting: list[Any]) -> None:
        waiting += kind.__mro__[1:]
        if _library(kind.__module__):
            waiting += [value for value in vars(kind).values() if isinstance(value, types.FunctionType)]
            return
        for name, value in list(vars(kind).items()):
            if name.startswith("__") and not isinstance(value, types.FunctionType):
                continue
            waiting.append(value)
            if isinstance(value, int | float | str | tuple | None):  # such as a counter of all instances
                self._undo.append(functools.partial(setattr, kind, name, value))

    def _object(self, value: Any, waiting: list[Any]) -> None:
        kind = type(value)
        native = any(base.__module__ in sys.builtin_module_names for base in kind.__mro__[:-1])
        if native or not isinstance(getattr(value, "__dict__", None), dict) or getattr(kind, "__slots__", None):
            raise OutOfReachError(f"it uses a {kind.__name__}, which cannot be put back")
        waiting.append(kind)
        self._attributes(value, waiting)

    def _attributes(self, value: Any, waiting: list[Any], skip: frozenset[str] = frozenset()) -> None:
        inside, before = vars(value), {key: item for key, item in vars(value).items() if key not in skip}
        waiting += before.values()

        def undo() -> None:
            for key in [key for key in inside if key not in before and key not in skip]:
                del inside[key]
            inside.update(before)

        self._undo.append(undo)


def _nobody_else_sees() -> None:
    """Hooks of every module, and modes, of somebody else would see calls that are no part of the loop.

    Raises:
        OutOfReachError: there is one.
    """
    hooks = [*modules._global_forward_pre_hooks.values(), *modules._global_forward_hooks.values()]
    modes = [*_get_current_function_mode_stack(), *_get_current_dispatch_mode_stack()]  # type: ignore[no-untyped-call]
    if any(not str(getattr(hook, "__module__", "")).startswith("lvmcheck.") for hook in hooks):
        raise OutOfReachError("hooks of all modules are there")
    if any(not isinstance(mode, DeviceContext) for mode in modes):
        raise OutOfReachError("a mode of torch is open")


def _installed(file: str) -> bool:
    """It belongs to Python or to an installed package, whose functions leave nothing behind."""
    return file.startswith(_INSTALLED) or "site-packages" in file or "dist-packages" in file


def _names(code: types.CodeType) -> set[str]:
    """Globals that this code, and what is defined in it, names."""
    found = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "STORE_GLOBAL")}
    return found.union(*(_names(inner) for inner in code.co_consts if isinstance(inner, types.CodeType)))


def _set_state(generator: torch.Generator, state: Tensor) -> None:
    generator.set_state(state)


def _content(cell: types.CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # it is empty
        return []


def _given(value: Any) -> list[Any]:
    return [value.func, *value.args, *value.keywords.values()] if isinstance(value, functools.partial) else []


def _marks(values: Any) -> list[int]:
    """What a container holds, by identity."""
    parts = [*values, *values.values()] if isinstance(values, Mapping) else values
    return [id(part) for part in parts]


def _stateless(value: Any) -> bool:
    """A part of torch or Python that has no attributes, and is no iterator; and what is ours."""
    home = type(value).__module__.partition(".")[0]
    bare = not hasattr(value, "__dict__") and not hasattr(value, "__next__")
    known = home in ("torch", "builtins", "typing", "functools") or hasattr(type(value), "__get__")
    return home == "lvmcheck" or (bare and known)


def _library(module: str) -> bool:
    """A module of Python or of an installed package; what has no file, as in a notebook, is somebody's own."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return module.partition(".")[0] in sys.stdlib_module_names - {"__main__"} if file is None else _installed(file)
