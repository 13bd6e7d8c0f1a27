"""The watcher of one loop: official hooks of model and optimizers that hand sampled steps to the collectors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import torch
from torch import nn
from torch.optim import Optimizer

from lvmcheck.watch.budget import Budget, Every
from lvmcheck.watch.collector import Collector
from lvmcheck.watch.guard import Guard
from lvmcheck.watch.loaders import Loader, leak
from lvmcheck.watch.loop import Sink
from lvmcheck.watch.measure.modules import once_made
from lvmcheck.watch.measuring import Measuring
from lvmcheck.watch.modes import Modes
from lvmcheck.watch.readings import Readings
from lvmcheck.watch.slot import Slot
from lvmcheck.watch.team import Team

MOST, MANY = 16, 64
"""Forward passes of a step that are measured, and by which its loss is there."""


class Watcher(Measuring):
    """Watches until :meth:`close`, or until the ``with`` block that it was made for ends.

    Attributes:
        step, sampling: steps of the first optimizer so far; the step that is under way is measured.
        slots: one for each optimizer.
        parts: what the loop calls: the model itself, or modules of it, of which the first takes the batch.
        peers, index: the watchers of its record, and its place among them.
        handles: of hooks that are removed with this watcher.
        train, val: the loaders of rows, observed while they are iterated.
        found: nobody asked for this watcher: what goes wrong in it ends it, and never the loop.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        scheduler: Any,
        *,
        every: Every,
        sink: Sink,
        collectors: Sequence[Collector],
        progress: Callable[[], tuple[int, int]],
        peers: Callable[[], Sequence[Any]] = tuple,
        parts: Sequence[nn.Module] = (),
        found: bool = False,
    ) -> None:
        self.model, self.parts = model, tuple(parts) or (model,)
        self.found, self.guard = found, Guard(sink.note, found=found)
        self.scheduler = scheduler
        self.step, self.sampling = 0, False
        self.readings = Readings()
        self.slots = [Slot(model, optimizer, self.guard) for optimizer in optimizers]
        self.modes = Modes(model, self.parts)
        self.train: Loader | None = None
        self.val: Loader | None = None
        self.evaluating = False
        self.peers, self.index = peers, len(peers())
        self._team = Team(collectors, self, self.guard)
        self._said: dict[str, tuple[object, int]] = {}
        self._budget, self._sink, self._progress = Budget(every), sink, progress
        self.handles: list[Any] = []
        self._thread, self._cost, self._begun = 0, 0.0, 0.0
        self._clock, self.closed = time.perf_counter(), False
        self._unseen: tuple[str, ...] | None = None

    def attach(self) -> Self:
        """Put the hooks."""
        self.handles += once_made(self.model, lambda use: self.guard.hook("watch", use), self._attach)
        return self

    def _attach(self) -> None:
        for slot in self.slots:
            slot.attach()
            before, after = self._step_hooks(slot)
            self.handles += [
                slot.optimizer.register_step_pre_hook(before),
                slot.optimizer.register_step_post_hook(after),
            ]
        hook = partial(self.guard.hook, "watch")
        for part in self.parts:
            self.handles += [
                part.register_forward_pre_hook(hook(self._before_forward), with_kwargs=True),
                part.register_forward_hook(hook(self._after_forward), with_kwargs=True),
            ]
        self._team.ask("start")
        self._begin_sample()

    def close(self) -> None:
        """Remove every hook and read what is on its way. Safe to call twice."""
        if self.closed:
            return
        self.closed = True
        if self.sampling:
            self._end_sample(measured=False)
        for handle in self.handles:
            handle.remove()
        for slot in self.slots:
            slot.detach()
        self.readings.read()
        self.modes.close(self)
        self._team.ask("finish")
        if self.unseen and self.step:
            self._sink.note(f"watch could not see: {', '.join(self.unseen)}")
        self._team, self._said = Team((), self, self.guard), {}  # they keep rows and elements

    def release(self) -> None:
        """Close, and keep neither the model nor its optimizers alive."""
        self.close()
        self.guard.process, self._unseen = 0, self.unseen  # a call that is under way still has the hooks
        self.model, self.scheduler, self.slots, self.handles = nn.Module(), None, [], []
        self.parts = (self.model,)
        self.modes, self.readings = Modes(self.model), Readings()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def epoch_ended(self, *, evaluated: bool) -> None:
        """The loop reports an epoch, with a metric of an evaluation or without."""
        self._pause(evaluated=evaluated)
        self._team.ask("epoch_ended", evaluated)

    def loss_reported(self, loss: Any) -> None:
        """The loop reports the loss of a step as a tensor with its graph."""
        if not self.closed:
            self._team.ask("loss_reported", loss)

    def observe(self, train: Any, val: Any) -> None:
        """Look at the rows of these loaders from now on."""
        self.train = None if train is None else Loader(train, self, evaluates=False)
        self.val = None if val is None else Loader(val, self, evaluates=True)
        self._leak()

    def passed(self, *, evaluation: bool) -> None:
        """An observed loader was iterated to its end."""
        if evaluation:
            self.evaluated()
        self._leak()

    def _leak(self) -> None:
        train, val = self.train, self.val
        if train is not None and val is not None and train.rows and val.rows:
            self.emit("leak", leak(train, val), (), self.step)

    def evaluated(self) -> None:
        """An evaluation has ended."""
        self._pause(evaluated=True)

    def _pause(self, *, evaluated: bool) -> None:
        self.modes.end_of_evaluation(self, evaluated=evaluated)
        self.modes.between = True
        if evaluated:
            self._team.ask("evaluation_ended")

    def announce(self) -> None:
        """The loop computes gradients inside of ``step``, and will call :meth:`gradients_complete` there."""
        for slot in self.slots:
            slot.announced = True

    def gradients_complete(self, optimizer: Any) -> None:
        """The gradients of this step are there, and the optimizer is about to use them."""
        inner = getattr(optimizer, "optimizer", optimizer)
        for slot in self.slots if not self.closed else ():
            if slot.optimizer is inner:
                self._before_step(slot, (), {})

    def forward_begins(self, args: tuple[Any, ...]) -> None:
        """The model is being called, and its call began before the hooks were there."""
        self._before_forward(self.parts[0], args, {})

    def _before_forward(self, module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if module not in self.parts or self._in_another_thread():
            return  # a replica has the hooks of the model
        if module is not self.parts[0]:
            self.modes.before_part(module)
            self._timed_part("before_part", (args, keywords))
            return
        self.modes.before_forward(self)
        if self.modes.between and torch.is_grad_enabled() and not self.evaluating:
            self.modes.between = False
            self._timed("epoch_began", (args, keywords))
        if self.sampling and torch.is_grad_enabled() and (self.forwards <= MOST or self.forwards == MANY):
            self._timed("before_forward", (args, keywords))  # which closes what the loss is looked for with

    def _in_another_thread(self) -> bool:
        """The model is trained here, while another thread does that as well."""
        self._thread = self._thread or (threading.get_ident() if torch.is_grad_enabled() else 0)
        return torch.is_grad_enabled() and self._thread != threading.get_ident()

    def _after_forward(self, module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
        if module not in self.parts or self._in_another_thread():
            return
        if module is not self.parts[0]:
            self._timed_part("after_part", output)
        else:
            self.modes.after_forward()
            if self.sampling and torch.is_grad_enabled() and self.forwards <= MOST:
                self._timed("after_forward", (args, keywords), output)

    def _step_hooks(self, slot: Slot) -> tuple[Callable[..., None], Callable[..., None]]:
        main = slot is self.slots[0]

        def before(_optimizer: Optimizer, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            if not slot.announced:
                self._before_step(slot, args[1:] if args and args[0] is slot.optimizer else args, keywords)

        def after(_optimizer: Optimizer, _args: tuple[Any, ...], _keywords: dict[str, Any]) -> None:
            if self.sampling:
                self._timed("after_step", slot)
            slot.after_step()
            if main:
                self._stepped()

        return self.guard.hook("watch", before), self.guard.hook("watch", after)

    def _before_step(self, slot: Slot, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        slot.before_step(args, keywords)
        if self.sampling:
            self._timed("before_step", slot)

    def _stepped(self) -> None:
        """The first optimizer has stepped: the measured step ends, and the next may begin."""
        if self.sampling:
            self._end_sample(measured=True)
        else:
            self._budget.step_took(time.perf_counter() - self._clock)
        self.step += 1
        self.modes.stepped(self)
        if self._budget.due(self.step + 1):
            self._begin_sample()
        self._clock = time.perf_counter()

    def _begin_sample(self) -> None:
        self.sampling, self._cost = True, 0.0
        for slot in self.slots:
            slot.measuring = True
            if slot.changed:
                slot.refresh()
        self._timed("before_sample")
        self._begun = self._cost

    def _end_sample(self, *, measured: bool) -> None:
        self._timed("after_sample")
        began = time.perf_counter()
        if measured:
            self.modes.sampled(self)
        self.readings.read()
        self.readings.gather()
        self._cost += time.perf_counter() - began
        self.sampling = False
        for slot in self.slots:
            slot.measuring = False
        whole = time.perf_counter() - self._clock + self._begun
        self._budget.sample_took(self.step + 1, self._cost, whole if measured else 0.0)

    def _timed_part(self, method: str, *more: Any) -> None:
        if self.sampling and torch.is_grad_enabled() and self.forwards <= MOST:
            self._timed(method, *more)

    def _timed(self, method: str, *more: Any) -> None:
        began = time.perf_counter()
        self._team.ask(method, *more)
        self._cost += time.perf_counter() - began
