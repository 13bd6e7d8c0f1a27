"""What a recorder has to do with watching its loop from inside: by request, or because a model was found in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, Literal

from lvmcheck.run import events as ev
from lvmcheck.run.preflights import PREFLIGHT, take
from lvmcheck.run.statements import Statements

WINDOW = 50
EARLY = 50
"""First steps that are kept one by one by default, so that a run can be judged from its first steps on."""


class Watching(Statements):
    """Methods of the recorder that begin, and take from, the watching of its loop."""

    window: int
    watchers: list[Any]
    findings: list[Any]
    finder: Any
    _closed: bool
    _first_steps: int
    _judge: Callable[[Any, bool], None] | None

    def watch(
        self,
        model: Any,
        optimizer: Any,
        scheduler: Any = None,
        *,
        every: int | Literal["auto"] = "auto",
        train: Any = None,
        val: Any = None,
    ) -> Any:
        """Watch the loop from inside for silent errors (:func:`lvmcheck.watch.start.watch`) until the run ends."""
        self.look_no_further()
        return self._watch(model, optimizer, scheduler, every=every, train=train, val=val)

    def watch_found(self, model: Any, optimizer: Any, scheduler: Any, parts: Any = ()) -> Any:
        """Watch what was found in the loop (:mod:`lvmcheck.watch.found`)."""
        return self._watch(model, optimizer, scheduler, parts=parts, found=True)

    def look_no_further(self) -> None:
        """No longer look for models and optimizers."""
        if self.finder is not None:
            self.finder.close()

    def _say_what_was_missed(self) -> None:
        """A note where a model was trained, as far as anybody can tell, and none was watched."""
        if self.finder is not None and self.steps > 1 and not self.watchers and self.finder.missed:
            self.note(self.finder.missed)

    @property
    def unused(self) -> bool:
        """The run is open, and nothing that is measured has come into it."""
        return not (self._closed or self.steps or self.epochs or self.watchers)

    def _watch(self, model: Any, optimizer: Any, scheduler: Any, **more: Any) -> Any:
        if self.steps == 0 and self.window == WINDOW:
            self._first_steps = EARLY  # what a watched loop records is the same, whoever started it
        start = import_module("lvmcheck.watch.start")  # torch is imported here, where the loop has it already
        watcher = start.watch(model, optimizer, scheduler, recorder=self, **more)
        self.watchers.append(watcher)
        if len(self.watchers) == 1 and self.steps == 0:
            self.origin(model=model)
            before = partial(watcher.guard.hook, "the first batch")
            first = import_module("lvmcheck.watch.measure.modules").first_call
            watcher.handles.append(first(watcher.parts[0], before, lambda batch: self.origin(batch=batch)))
        for found in take(getattr(model, "_orig_mod", model)):
            watcher.emit(PREFLIGHT, found.values, found.subjects, self.steps)
        open_ = sum(not other.closed for other in self.watchers)
        if open_ > 1:
            values = {"models": float(open_)}
            self.measured(ev.Watch(name=ev.MODELS, epoch=self.epochs + 1, step=self.steps, subjects=(), values=values))
        return watcher

    def _reported(self, loss: Any) -> None:
        """The loop reports the tensor of a loss, whose graph leads to what was trained."""
        if getattr(loss, "grad_fn", None) is not None:
            for watcher in self.watchers:
                watcher.loss_reported(loss)

    def measured(self, event: ev.Watch) -> None:
        """A measurement of a watcher."""
        self._write(replace(event, t=self._now()))

    def found(self, verdict: Any) -> None:
        """A watcher has found, and said, something."""
        self.findings.append(verdict)
        if self._judge is not None and not self._closed:
            self._judge(self, False)
