"""What collectors see of the loop that is watched: the watcher, as far as they need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from lvmcheck.checks.finding import Verdict
from lvmcheck.run.events import Watch
from lvmcheck.watch.guard import Guard
from lvmcheck.watch.slot import Slot


class Sink(Protocol):
    """Takes what was measured, and holds what was found."""

    verdicts: list[Verdict]

    def measured(self, event: Watch) -> None: ...

    def note(self, text: str) -> None: ...


class Loop(Protocol):
    """A watched loop.

    Attributes:
        step: optimizer steps of the first optimizer since watching began.
        sampling: the step that is under way is measured.
        slots: one for each optimizer.
        evaluating: an observed loader of validation rows is being iterated.
        train: the observed loader of training rows.
        forwards: forward passes of training since the last step.
        parts: the modules that the loop calls, the one that takes the batch first.
        found: nobody asked for watching: what the loop trains was found.
        guard: makes hooks of what is put on models, gradients and optimizers.
    """

    model: nn.Module
    parts: tuple[nn.Module, ...]
    scheduler: Any
    step: int
    sampling: bool
    slots: list[Slot]
    evaluating: bool
    guard: Guard
    found: bool

    @property
    def train(self) -> Any: ...

    @property
    def peers(self) -> Callable[[], Sequence[Any]]:
        """The watchers of the same record."""

    @property
    def val(self) -> Any: ...

    @property
    def now(self) -> int:
        """The step under way where it is measured, else the last one."""

    @property
    def forwards(self) -> int: ...

    @property
    def recorded(self) -> int:
        """Steps that the loop reported to its recorder."""

    def emit(
        self, name: str, values: Mapping[str, float], subjects: Sequence[str] = (), step: int | None = None
    ) -> None:
        """Say what was measured."""

    def later(self, values: Tensor | Sequence[Tensor], use: Callable[[list[float], int], None]) -> None:
        """Call ``use(numbers, step)`` once these tensors have come from the device."""

    def passed(self, *, evaluation: bool) -> None:
        """An observed loader was iterated to its end."""
