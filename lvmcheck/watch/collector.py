"""What a collector is: it sees the sampled steps of a watched loop and says what it measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lvmcheck.watch.slot import Slot
    from lvmcheck.watch.watcher import Watcher


class Collector:
    """Base of all collectors. Every method may do nothing; those of steps and forward passes run on sampled steps."""

    def start(self, watcher: Watcher) -> None:
        """Watching begins."""

    def before_sample(self, watcher: Watcher) -> None:
        """The next step is measured: temporary hooks are put now."""

    def epoch_began(self, watcher: Watcher, inputs: Any) -> None:
        """The first forward pass with gradients after an epoch ended, or after an evaluation; on any step."""

    def before_forward(self, watcher: Watcher, inputs: Any) -> None:
        """The model is about to compute outputs of these inputs (arguments and keyword arguments)."""

    def after_forward(self, watcher: Watcher, inputs: Any, output: Any) -> None:
        """The model has computed this output, with gradients enabled."""

    def before_step(self, watcher: Watcher, slot: Slot) -> None:
        """The optimizer is about to step."""

    def after_step(self, watcher: Watcher, slot: Slot) -> None:
        """The optimizer has stepped."""

    def after_sample(self, watcher: Watcher) -> None:
        """The measured step is over: temporary hooks go now."""

    def epoch_ended(self, watcher: Watcher, evaluated: bool) -> None:
        """The loop reported an epoch, with a metric of an evaluation or without."""

    def finish(self, watcher: Watcher) -> None:
        """Watching ends."""
