"""Whether what judges is still itself: functions of lvmcheck, of pytest and of Python that other code has replaced.

Against a patch that a test, a conftest or a trainer's schema makes in passing; code that means to hide can hide.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from lvmcheck.launch.executed import INSTALLED, OWN

USED = frozenset(
    {
        *(
            "lvmcheck",
            "pytest",
            "_pytest",
            "pluggy",
            "xdist",
            "execnet",
            "builtins",
            "io",
            "os",
            "posixpath",
            "pathlib",
        ),
        *("json", "tomllib", "hashlib", "math", "subprocess", "dataclasses", "enum", "functools", "filelock"),
    }
)
"""Packages through which a session judges."""
HOMES = tuple(f"{home}{os.sep}" for home in (OWN, *INSTALLED))


def replaced() -> list[str]:
    """Dotted names whose code stands neither in lvmcheck nor in an installed package, each with the file it is from."""
    modules = {name: module for name, module in sys.modules.items() if name.split(".")[0] in USED}
    return [f"{name} ({file})" for module in modules.values() for name, file in sorted(_foreign(module))]


def _foreign(module: ModuleType) -> Iterator[tuple[str, str]]:
    for name, value in list(vars(module).items()):
        whole = f"{module.__name__}.{name}"
        if not inspect.isclass(value):
            yield from _judged(whole, value)
        elif value.__module__ == module.__name__:
            for inner, member in list(vars(value).items()):
                yield from _judged(f"{whole}.{inner}", member)
        elif _elsewhere(value.__module__):
            yield whole, value.__module__


def _judged(name: str, value: Any) -> Iterator[tuple[str, str]]:
    code = _code(value)
    if code is None:
        if callable(value) and _elsewhere(type(value).__module__):
            yield name, type(value).__module__
        return
    file = code.co_filename
    generated = file.startswith("<frozen ") or (file.startswith("<") and name.endswith("__"))
    if not generated and not file.startswith(HOMES):
        yield name, file


def _code(value: Any) -> CodeType | None:
    """The code of a function, however it is wrapped; an object's own attributes are not asked for."""
    for _ in range(8):
        if isinstance(value, FunctionType):
            return value.__code__
        if isinstance(value, MethodType | staticmethod | classmethod):
            value = value.__func__
        elif isinstance(value, property):
            value = value.fget
        elif isinstance(value, cached_property):
            value = value.func
        else:
            value = inspect.getattr_static(value, "__wrapped__", None)
    return None


def _elsewhere(module: str) -> bool:
    """Whether a module lies in a file that is neither lvmcheck's nor installed."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return isinstance(file, str) and not str(Path(file)).startswith(HOMES)
