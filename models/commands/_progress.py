"""What a person sees of a run that trains in this process: one line an epoch, and on a terminal one that moves."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from lvmcheck.run.recorder import Recorder
from lvmcheck.text.say import say

SHOWN = ("train_loss", "val_loss", "val_cosine", "val_margin_over_mean_of_context", "exact_match", "halting_mean")
SHORT = {"val_margin_over_mean_of_context": "over mean of context", "exact_match": "exact match"}
EVERY = 0.5  # seconds between two looks at the loss, which on an accelerator waits for the device


class Shown:
    """A recorder whose epochs and steps are shown as well; everything else is the recorder's own."""

    def __init__(self, rec: Recorder, epochs: int) -> None:
        self._rec, self._epochs = rec, epochs
        self._moving = sys.stdout.isatty()
        self._looked = self._began = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rec, name)

    def step(self, **values: Any) -> None:
        """As :meth:`Recorder.step`."""
        self._rec.step(**values)
        now = time.monotonic()
        if self._moving and now - self._looked > EVERY:
            self._looked = now
            text = (
                f"epoch {self._rec.epochs + 1}/{self._epochs}  step {self._rec.steps}  loss {float(values['loss']):.5g}"
            )
            sys.stdout.write(f"\r{text:<70}\r")
            sys.stdout.flush()

    def epoch(self, epoch: int, **metrics: Any) -> None:
        """As :meth:`Recorder.epoch`."""
        self._rec.epoch(epoch, **metrics)
        say(line(epoch, self._epochs, metrics, time.monotonic() - self._began))


def line(epoch: int, epochs: int, metrics: Mapping[str, Any], seconds: float) -> str:
    """``epoch 3/20  train_loss 0.00108  val_cosine 0.5581 ...  41 s``."""
    values = [f"{SHORT.get(name, name)} {metrics[name]:.4g}" for name in SHOWN if metrics.get(name) is not None]
    return "  ".join([f"epoch {epoch}/{epochs}", *values, f"{seconds:.0f} s"])
