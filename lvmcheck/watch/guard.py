"""Hooks that keep what goes wrong in watching away from the loop."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable
from typing import Any
from weakref import WeakMethod

import torch
from torch.utils._python_dispatch import _disable_current_modes

# What every hook asks, many times a step.
_modes = torch._C._len_torch_dispatch_stack
_traces = torch._C._get_tracing_state
_transform = torch._C._functorch.peek_interpreter_stack  # of torch.func, whose tensors stand for many

STRICT = "LVMCHECK_STRICT"
"""Variable whose value 1 lets what goes wrong in watching reach the loop; for tests."""


def allow_global_hooks() -> None:
    """Let torch say nothing of global hooks beside compiled modules: ours take a call that is seen twice for one."""
    warnings.filterwarnings("ignore", r"Using `torch\.compile\(module\)` when there are global hooks", UserWarning)


class Guard:
    """Keeps what goes wrong in watching away from the loop that is watched.

    Attributes:
        broken: what no longer looks, in the order of first sight.
        process: in which the loop runs.

    Args:
        note: says one line of each.
        found: nobody has asked for this watcher.
    """

    def __init__(self, note: Callable[[str], None], *, found: bool) -> None:
        self.broken: list[str] = []
        self.process = os.getpid()
        self._note = WeakMethod(note)  # hooks of outputs live as long as their graph, and must keep no run alive
        self._raises = os.environ.get(STRICT) == "1" and not found

    def failed(self, what: str, problem: Exception) -> None:
        """Say it once; raised on where that is wanted."""
        if self._raises:
            raise problem
        if what not in self.broken:
            self.broken.append(what)
            say = self._note()
            if say is not None:
                say(f"watch: {what} stopped looking: {type(problem).__name__}: {str(problem)[:200]}")

    def hook(self, what: str, call: Callable[..., None]) -> Hook:
        """The same call as a hook, which never raises."""
        return Hook(call, self, what)


def tracing() -> bool:
    """torch.compile, torch.export or torch.jit.trace notes every operation, so that none of ours may run."""
    return torch.compiler.is_compiling() or _traces() is not None


class Hook:
    """A hook that keeps its own failures to itself.

    It sees nothing in a process that was forked, while torch.compile or torch.jit.trace notes operations, and within
    transforms of torch.func.

    In copies of the model that has it, and in files of the model, one stands in its place that does nothing and is
    part of Python: such a file can be read where lvmcheck is not installed.
    """

    __torch_unserializable__ = True  # a tensor that goes to another process goes without it, and without a warning

    def __init__(self, call: Callable[..., None], guard: Guard, what: str) -> None:
        self._call, self._guard, self._what = call, guard, what

    def __call__(self, *args: Any, **keywords: Any) -> None:
        if tracing() or _transform() is not None or os.getpid() != self._guard.process:
            return
        try:
            if _modes():  # such as a FlopCounterMode, which counts no operations of ours
                with _disable_current_modes():
                    self._call(*args, **keywords)
            else:
                self._call(*args, **keywords)
        except Exception as problem:
            self._guard.failed(self._what, problem)

    def __getattr__(self, name: str) -> Any:
        if name == "__name__":  # asked for by torch.jit.script, which takes no hook of Python's
            problem = "a watched model cannot be scripted: script it after the record, or record(..., watch=False)"
            raise AttributeError(problem)
        raise AttributeError(name)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return getattr, (contextlib.nullcontext, "__exit__")  # takes anything, gives None
