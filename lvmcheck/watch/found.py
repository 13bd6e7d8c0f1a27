"""Finds what a recorded loop trains, so that it is watched without a line of the loop's own.

Official global hooks see modules being called and optimizers step. The modules that training calls first and the
optimizers that hold their parameters are watched from the first forward pass on, or, where several optimizers may be
meant or one trains several modules, from the second step on. Modules are looked at until every optimizer has its model,
or for three steps, and again when another optimizer steps.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules import module as modules
from torch.optim import Optimizer
from torch.optim import optimizer as optimizers
from torch.optim.lr_scheduler import LRScheduler

from lvmcheck.errors import InputError
from lvmcheck.watch.alive import alive, compiled_for, held, own, scheduler_of, together, trained_without, whole
from lvmcheck.watch.guard import allow_global_hooks

if TYPE_CHECKING:
    from lvmcheck.run.recorder import Recorder

LOOKING = 3
"""Steps of an optimizer after which modules that are called are no longer looked at: all have been called by then."""

_AWAY: ContextVar[bool] = ContextVar("_AWAY", default=False)
_OPEN: weakref.WeakSet[Finder] = weakref.WeakSet()


@contextmanager
def away() -> Iterator[None]:
    """What is called here is no training loop."""
    before = _AWAY.set(True)
    try:
        yield
    finally:
        _AWAY.reset(before)


class Finder:
    """Looks for the models and optimizers of one record.

    Where another record is open into which nothing has come yet, nobody can tell whose the next model is: both stop
    looking.

    Args:
        recorder: whose :meth:`~lvmcheck.run.recorder.Recorder.watch_found` is called with what was found.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = weakref.ref(recorder, lambda _: self.close())
        self._owner = os.getpid(), threading.get_ident()
        self._depth = 0
        self._roots: dict[int, nn.Module] = {}
        self._alive: list[Any] = []  # optimizers and schedulers, looked for once before the first step
        self._stepped = _Seen()
        self._watched = _Seen()
        self._steps = 0
        self._step_handle: Any = optimizers.register_optimizer_step_pre_hook(self._before_step)
        self._module_handles: list[Any] = []
        others = [other for other in _OPEN if other.unused]
        _OPEN.add(self)
        if others:
            for finder in (self, *others):
                finder.close()
        else:
            self._look()

    @property
    def unused(self) -> bool:
        """Its record is open, and nothing has come into it."""
        recorder = self._recorder()
        return recorder is not None and recorder.unused

    def close(self) -> None:
        """Remove every hook. Safe to call twice."""
        self._no_longer_look()
        if self._step_handle is not None:
            self._step_handle.remove()
            self._step_handle = None

    # -- hooks ---------------------------------------------------------------------------------------------------------
    def _look(self) -> None:
        self._steps = self._depth = 0
        allow_global_hooks()
        if not self._module_handles:
            self._module_handles = [
                modules.register_module_forward_pre_hook(self._before_forward),
                modules.register_module_forward_hook(self._after_forward, always_call=True),
            ]

    def _no_longer_look(self) -> None:
        for handle in self._module_handles:
            handle.remove()
        self._module_handles = []
        self._roots.clear()
        self._alive = []

    def _elsewhere(self) -> bool:
        return torch.compiler.is_compiling() or _AWAY.get() or (os.getpid(), threading.get_ident()) != self._owner

    def _before_forward(self, module: nn.Module, args: Any) -> None:
        if self._elsewhere():
            return
        self._depth += 1
        if self._depth == 1 and torch.is_grad_enabled() and not isinstance(module, torch.jit.ScriptModule):
            self._safely(lambda: self._called(module, args))

    def _after_forward(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        if not self._elsewhere():
            self._depth -= 1

    def _before_step(self, optimizer: Optimizer, _args: Any, _keywords: Any) -> None:
        if not self._elsewhere():
            self._safely(lambda: self._steps_now(optimizer))

    def _safely(self, look: Callable[[], None]) -> None:
        """Whatever happens here, the loop goes on: it has not asked for any of this."""
        try:
            look()
        except Exception as problem:
            self.close()
            recorder = self._recorder()
            if recorder is not None:
                recorder.note(f"models and optimizers were not looked for: {type(problem).__name__}: {problem}")

    # -- what belongs together -----------------------------------------------------------------------------------------
    def _called(self, module: nn.Module, args: Any) -> None:
        if id(module) not in self._roots:
            self._roots[id(module)] = module
            self._first_call(module, args)
        if self._steps and self._module_handles:
            self._settle()

    def _steps_now(self, optimizer: Optimizer) -> None:
        if optimizer not in self._stepped:
            self._stepped.add(optimizer)
            if optimizer not in self._watched:
                self._look()
        if self._module_handles:
            if self._steps and not self._roots:  # no call is seen
                self._settle()
            self._steps += 1
            if self._steps > LOOKING * len(self._stepped):
                self._no_longer_look()

    def _first_call(self, module: nn.Module, args: Any) -> None:
        """Watch a module at its first call where only one optimizer can be meant, and that trains nothing else."""
        mine = own(module)
        if not mine or module in self._watched:
            return
        found = self._alive = self._alive or alive(Optimizer, LRScheduler)
        stepping = [item for item in found if isinstance(item, Optimizer)]
        holders = [item for item in stepping if held(item) & mine]
        if len(holders) == 1 and held(holders[0]) <= mine:
            watcher = self._start(module, holders, [item for item in found if isinstance(item, LRScheduler)])
            if watcher is not None:
                watcher.forward_begins(args)
            if all(item in self._watched for item in stepping):
                self._no_longer_look()

    def _settle(self) -> None:
        """Watch the modules that were called, with the optimizers that have stepped since."""
        fresh = [root for root in self._roots.values() if root not in self._watched and own(root)]
        unheld = [root for root in fresh if not any(held(item) & own(root) for item in self._stepped)]
        for optimizer in [item for item in self._stepped if item not in self._watched]:
            for model in compiled_for(optimizer) or trained_without(optimizer, unheld):
                if model not in self._watched:
                    self._start(model, [optimizer])
        free = [item for item in self._stepped if item not in self._watched]
        parts = [(root, [item for item in free if held(item) & own(root)]) for root in fresh]
        for group in together([part for part in parts if part[1]]):
            self._start(whole([root for root, _ in group]), _each(item for _, items in group for item in items))
            self._watched.add(*(root for root, _ in group))

    def _start(self, model: nn.Module, holders: list[Optimizer], schedulers: list[Any] | None = None) -> Any:
        self._watched.add(model, *holders)
        recorder = self._recorder()
        try:
            known = alive(LRScheduler) if schedulers is None else schedulers
            return None if recorder is None else recorder.watch_found(model, holders, scheduler_of(holders, known))
        except InputError:  # what is watched already, or cannot be
            return None


class _Seen:
    """Objects by identity, of which none is kept alive."""

    def __init__(self) -> None:
        self._known: dict[int, weakref.ref[Any]] = {}

    def add(self, *items: Any) -> None:
        self._known.update((id(item), weakref.ref(item)) for item in items)

    def __contains__(self, item: Any) -> bool:
        known = self._known.get(id(item))
        return known is not None and known() is item

    def __iter__(self) -> Iterator[Any]:
        return (item for known in self._known.values() if (item := known()) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _each(items: Iterable[Any]) -> list[Any]:
    return list({id(item): item for item in items}.values())
