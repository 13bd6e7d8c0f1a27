"""What a fault of a training process is, and how it reports that it took effect."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lvmcheck.run import directory as rundir
from lvmcheck.run.recorder import Recorder

EFFECT = "fault.json"
"""In the run directory: how often the fault has taken effect."""


class Site:
    """Where a fault is planted: counts its effects, and the epochs that the run has reported.

    Attributes:
        effects: how often it changed something; a fault with none is "not planted".
        epochs: epochs that the run has reported.
        optimizers: how many optimizers exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.effects = 0
        self.epochs = 0
        self.optimizers = 0

    def effect(self) -> None:
        """The fault changed something now. Written at once for the first time: the process may be killed."""
        self.effects += 1
        if self.effects == 1:
            rundir.write_json(self.folder / EFFECT, {"planted": True})

    def count_epochs(self) -> None:
        """Count the epochs that any recorder of this process reports."""
        report = Recorder.epoch

        def epoch(recorder: Recorder, *arguments: object, **metrics: object) -> None:
            report(recorder, *arguments, **metrics)  # type: ignore[arg-type]
            self.epochs += 1

        Recorder.epoch = epoch  # type: ignore[assignment, method-assign]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of the trainer's process.

    Args:
        name: a stable identifier.
        about: what is wrong, in a few words.
        needs: what the trainer must do for it to take effect: the reason where it did not.
        plant: plants it while the context lasts.
    """

    name: str
    about: str
    needs: str
    plant: Callable[[Site], AbstractContextManager[None]]
