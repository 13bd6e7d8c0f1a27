"""Runs that cases of several checks on curves are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


def rates(values: Sequence[float], *, per_epoch: int = 10, epochs: int | None = None, **config: object) -> Run:
    """A run of windows of one step with these learning rates and a falling loss."""
    losses = made.lines(len(values), 2.3, 0.8, 0.5)
    said: list[ev.Event] = []
    for i, (rate, loss) in enumerate(zip(values, losses, strict=True), 1):
        epoch = (i - 1) // per_epoch + 1
        window = ev.Window(
            epoch=epoch, first_step=i, last_step=i, loss_mean=loss, loss_min=loss, loss_max=loss, lr=rate
        )
        said.append(window)
        if i % per_epoch == 0:
            said.append(ev.Epoch(epoch=i // per_epoch, step=i, metrics={"train_loss": loss}))
    stated = {**({"epochs": epochs} if epochs else {}), **config}
    return Run(events=tuple(said), info={"config": stated}, done={"status": "finished"})


def wave(level: float, size: float, count: int = 20) -> list[float]:
    """A flat curve with noise that is the same every time."""
    return [level + size * math.sin(7.3 * i * i) for i in range(count)]


def cosine(count: int, period: int) -> list[float]:
    """Learning rates that go down and up again."""
    return [1e-3 * (0.5 + 0.5 * math.cos(2 * math.pi * i / period)) for i in range(count)]
