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
from lvmcheck.watch.alive import (
    alive,
    compiled_for,
    held,
    own,
    parts_of,
    scheduler_of,
    together,
    trained_without,
    whole,
)
from lvmcheck.watch.guard import allow_global_hooks, tracing
from lvmcheck.watch.measure.ledger import compiling
from lvmcheck.watch.replaced import Replaced
from lvmcheck.watch.seen import Seen

if TYPE_CHECKING:
    from lvmcheck.run.recorder import Recorder
    from lvmcheck.watch.watcher import Watcher

LOOKING = 3
"""Steps of an optimizer after which modules that are called are no longer looked at: all have been called by then."""
MOST = 8
"""Models that are watched at most: those of a search, or of the folds of a cross-validation, are alike."""
IDLE = 16
"""Steps of others after which a model that is not trained is no longer watched, once another one is found."""
UNSEEN = (
    "no model was watched, the record alone is judged: scripted modules and steps or gradients by hand are not seen"
)

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
        self._alive: list[Any] = []  # optimizers, schedulers and modules; looking for them is what costs
        self._settled: tuple[int, ...] = ()
        self._started: list[weakref.ref[Watcher]] = []
        self._count = 0
        self._last: weakref.WeakKeyDictionary[Optimizer, int] = weakref.WeakKeyDictionary()
        self._stepped = Seen()
        self._watched = Seen()
        self._steps = 0
        self._replaced = Replaced()
        self._step_handle: Any = optimizers.register_optimizer_step_pre_hook(self._before_step)
        self._module_handles: list[Any] = []
        self._looking = self._called_with_gradients = False
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

    @property
    def missed(self) -> str:
        """What to say where a model was called with gradients and none is watched; empty elsewhere."""
        return UNSEEN if self._called_with_gradients and not self._started else ""

    def close(self) -> None:
        """Remove every hook. Safe to call twice."""
        self._no_longer_look(ends=True)
        if self._step_handle is not None:
            self._step_handle.remove()
            self._step_handle = None

    # -- hooks ---------------------------------------------------------------------------------------------------------
    def _look(self) -> None:
        self._steps = self._depth = 0
        self._looking = True
        allow_global_hooks()
        if not self._module_handles:
            self._module_handles = [
                modules.register_module_forward_pre_hook(self._before_forward),
                modules.register_module_forward_hook(self._after_forward, always_call=True),
            ]

    def _no_longer_look(self, *, ends: bool = False) -> None:
        self._looking = False
        if ends or not compiling():  # what was compiled while hooks were there is compiled anew when they go
            for handle in self._module_handles:
                handle.remove()
            self._module_handles = []
        self._roots.clear()
        self._alive = []

    def _elsewhere(self) -> bool:
        return tracing() or _AWAY.get() or (os.getpid(), threading.get_ident()) != self._owner

    def _before_forward(self, module: nn.Module, args: Any) -> None:
        if self._elsewhere() or not self._looking:  # in this order: what is compiled must not depend on the second
            return
        self._depth += 1
        if self._depth == 1 and torch.is_grad_enabled():
            if isinstance(module, torch.jit.ScriptModule):
                self._called_with_gradients |= any(weight.requires_grad for weight in module.parameters())
            else:
                self._safely(lambda: self._called(module, args))

    def _after_forward(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        if not self._elsewhere() and self._looking:
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
        if self._steps and self._looking:
            self._settle()

    def _steps_now(self, optimizer: Optimizer) -> None:
        self._count += 1
        self._last[optimizer] = self._count
        if optimizer not in self._stepped:
            self._stepped.add(optimizer)
            if optimizer not in self._watched:
                self._look()
        if self._looking:
            if self._steps and not self._roots:  # no call is seen
                self._settle()
            self._steps += 1
            if self._steps > LOOKING * len(self._stepped):
                self._no_longer_look()

    def _first_call(self, module: nn.Module, args: Any) -> None:
        """Watch a module at its first call where only one optimizer can be meant, and that trains nothing else."""
        mine = own(module)
        trainable = any(p.requires_grad for p in module.parameters())
        self._called_with_gradients |= trainable
        if not mine or module in self._watched or not trainable:
            return
        found = self._known()
        stepping = [item for item in found if isinstance(item, Optimizer)]
        holders = [item for item in stepping if held(item) & mine]
        if len(holders) == 1 and held(holders[0]) <= mine:
            watcher = self._start(module, holders)
            if watcher is not None:
                watcher.forward_begins(args)
            if all(item in self._watched for item in stepping):
                self._no_longer_look()

    def _known(self, *wanted: Optimizer) -> list[Any]:
        """What is alive, looked for again where one of these is new."""
        ids = {id(item) for item in self._alive}
        if not ids or any(id(item) not in ids for item in wanted):
            self._alive = alive(Optimizer, LRScheduler, nn.Module)
        return self._alive

    def _settle(self) -> None:
        """Watch the modules that were called, with the optimizers that have stepped since."""
        now = (len(self._roots), len(self._stepped), self._count)
        if now == self._settled:
            return
        self._settled = now
        fresh = [root for root in self._roots.values() if root not in self._watched and own(root)]
        unheld = [root for root in fresh if not any(held(item) & own(root) for item in self._stepped)]
        for optimizer in [item for item in self._stepped if item not in self._watched]:
            known = self._known(optimizer)
            again = self._again(optimizer)
            for model in again or compiled_for(optimizer, known) or trained_without(optimizer, unheld, known):
                if model not in self._watched or again:
                    self._start(model, [optimizer])
        free = [item for item in self._stepped if item not in self._watched]
        parts = [(root, [item for item in free if held(item) & own(root)]) for root in fresh]
        for group in together([part for part in parts if part[1]]):
            roots = [root for root, _ in group]
            self._start(whole(roots), _each(item for _, items in group for item in items), roots)
            self._watched.add(*(root for root, _ in group))

    @property
    def _mine(self) -> list[Watcher]:
        """The watchers that it has started, and that are open; their run holds them."""
        return [watcher for known in self._started if (watcher := known()) is not None and not watcher.closed]

    def _again(self, optimizer: Optimizer) -> list[nn.Module]:
        """The model that is watched, where this optimizer takes the place of the one it was trained with."""
        for watcher in self._mine:
            if held(optimizer) & own(watcher.model) and self._idle(watcher) > len(self._stepped):
                model = watcher.model
                self._say_replaced(watcher, optimizer)
                watcher.release()
                return [model]
        return []

    def _say_replaced(self, watcher: Watcher, optimizer: Optimizer) -> None:
        known = [item for item in self._known(optimizer) if item is not optimizer]
        former = [item for item in known if isinstance(item, Optimizer) and held(item) & held(optimizer)]
        steps = self._replaced.by_another(former, [item for item in known if isinstance(item, LRScheduler)])
        watcher.emit("stale_scheduler", {"steps": steps, "replaced": self._replaced.count}, (), watcher.step)

    def _idle(self, watcher: Watcher) -> int:
        """Steps of others since it was trained."""
        return self._count - max((self._last.get(slot.optimizer, 0) for slot in watcher.slots), default=0)

    def _start(self, model: nn.Module, holders: list[Optimizer], called: Iterable[nn.Module] = ()) -> Any:
        self._watched.add(model, *holders)
        recorder = self._recorder()
        if recorder is None:
            return None
        self._let_go()
        if len(recorder.watchers) >= MOST:
            self.close()
            recorder.note(f"the first {MOST} models that were trained are watched, later ones are not")
            return None
        try:
            known = [item for item in self._known(*holders) if isinstance(item, LRScheduler)]
            watcher = recorder.watch_found(model, holders, scheduler_of(holders, known), parts_of(model, called))
        except InputError:  # what is watched already, or cannot be
            return None
        self._started.append(weakref.ref(watcher))
        return watcher

    def _let_go(self) -> None:
        """Models that are trained no longer, as in a search, are not kept alive."""
        for watcher in self._mine:
            if watcher.step and self._idle(watcher) > IDLE:
                watcher.release()


def _each(items: Iterable[Any]) -> list[Any]:
    return list({id(item): item for item in items}.values())
