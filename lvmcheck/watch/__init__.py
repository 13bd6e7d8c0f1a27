"""Watches any PyTorch loop from inside: ``rec.watch(model, optimizer)``, or ``lvmcheck.watch(model, optimizer)``.

The package is callable, because ``lvmcheck.watch`` names both it and its one function. torch is imported by the call.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """:func:`lvmcheck.watch.start.watch`."""
        return import_module("lvmcheck.watch.start").watch(*args, **keywords)


sys.modules[__name__].__class__ = _Callable
