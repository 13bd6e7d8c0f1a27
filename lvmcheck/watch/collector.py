"""What a collector is: it sees the sampled steps of a watched loop and says what it measured."""

from __future__ import annotations

from typing import Any, ClassVar

from lvmcheck.watch.loop import Loop
from lvmcheck.watch.slot import Slot


class Collector:
    """Base of all collectors. Every method may do nothing; those of steps and forward passes run on sampled steps."""

    opens: ClassVar[bool] = False
    """It opens a mode after a forward pass and closes it before the step."""

    def start(self, watcher: Loop) -> None:
        """Watching begins."""

    def before_sample(self, watcher: Loop) -> None:
        """The next step is measured: temporary hooks are put now."""

    def epoch_began(self, watcher: Loop, inputs: Any) -> None:
        """The first forward pass with gradients after an epoch ended, or after an evaluation; on any step."""

    def before_forward(self, watcher: Loop, inputs: Any) -> None:
        """The model is about to compute outputs of these inputs (arguments and keyword arguments)."""

    def after_forward(self, watcher: Loop, inputs: Any, output: Any) -> None:
        """The model has computed this output, with gradients enabled."""

    def before_part(self, watcher: Loop, inputs: Any) -> None:
        """Another module of the model, which the loop calls by itself, is about to compute outputs of these inputs."""

    def after_part(self, watcher: Loop, output: Any) -> None:
        """It has computed this output."""

    def before_step(self, watcher: Loop, slot: Slot) -> None:
        """The optimizer is about to step."""

    def after_step(self, watcher: Loop, slot: Slot) -> None:
        """The optimizer has stepped."""

    def after_sample(self, watcher: Loop) -> None:
        """The measured step is over: temporary hooks go now."""

    def epoch_ended(self, watcher: Loop, evaluated: bool) -> None:
        """The loop reported an epoch, with a metric of an evaluation or without."""

    def evaluation_ended(self, watcher: Loop) -> None:
        """The loop reported a metric of an evaluation."""

    def loss_reported(self, watcher: Loop, loss: Any) -> None:
        """The loop reported the loss of a step, whose graph is still there."""

    def finish(self, watcher: Loop) -> None:
        """Watching ends."""
