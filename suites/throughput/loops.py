"""The run of ``suites/amn_790k`` with any vector model, as loops to compare: bare, recorded, and as the trainer."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from lvmcheck.run.recorder import Recorder
from lvmcheck.run.start import record
from lvmcheck.suite import load_suite
from lvmcheck.testing.speed.kernels import counted
from lvmcheck.testing.speed.stopwatch import Place, clock
from models.data.loader import Loader
from models.losses import mse
from models.trainers.loop import train_step
from models.trainers.vector import VectorTask
from models.trainers.vector_config import parse

SUITE = Path(__file__).parents[1] / "amn_790k" / "suite.toml"
WINDOWS = 4096  # of the twin: enough for eight batches of 512


def run_config(batch: int, place: Place, *, kind: str = "amn", **data: object) -> dict[str, object]:
    """The run of the suite's full profile at another batch size, on a small twin, with ``data`` of it changed."""
    config = load_suite(SUITE, profile="full").config
    small = {"sequences": max(WINDOWS, batch), "val_sequences": 256, "ood_sequences": 256}
    twin = {**cast(dict[str, object], config["data"]), **small, **data}
    where = {"device": place.device.type, "threads": place.threads}
    return {**config, "model": {"kind": kind}, "data": twin, "batch_size": batch, **where}


@dataclass
class Loops:
    """One model and one optimizer, stepped by whichever loop is measured.

    Args:
        task: data, model and optimizer as the trainer makes them.
        folder: a directory for the recorder.
        steps: optimizer steps of one call of a loop.
        window: steps of one window of the recorder; suites have 50.
    """

    task: VectorTask
    folder: Path
    steps: int
    window: int
    in_recorder: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = self.task.cfg.batch_size
        self.windows = self.task.data.train_epoch(1)
        self.loader = Loader(self.windows, self.size, self.task.device)
        self.parameters = list(self.task.model.parameters())
        self.recorder: Recorder = record(self.folder / "run", window=self.window)
        self.context, self.target = (tensor.clone() for tensor in self.loader.gather(slice(0, self.size)))
        epochs = (self.loader.shuffled(self.task.cfg.seed, epoch) for epoch in count(1))
        self.drawn = (drawn for drawn in chain.from_iterable(epochs) if len(drawn[1]) == self.size)
        self.task.model.train()

    @classmethod
    def make(cls, config: dict[str, object], folder: Path, *, steps: int, window: int = 50) -> Loops:
        """Everything new, for a config as :func:`run_config` makes it."""
        return cls(VectorTask.make(parse(config)), folder, steps, window)

    # -- the loops -----------------------------------------------------------------------------------------------------
    def _step(self) -> tuple[Tensor, Tensor]:
        """What any loop must do, and nothing else: no number is read."""
        loss = self._forward()
        self.task.state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.task.cfg.clip_norm)
        self.task.state.optimizer.step()
        return loss, norm

    def _forward(self) -> Tensor:
        raw, _ = self.task.model(self.context, return_raw=True)
        return mse(raw, self.target)

    def bare(self) -> None:
        """The loop without lvmcheck."""
        for _ in range(self.steps):
            self._step()

    def recorded(self) -> None:
        """The same loop reporting every step and asking whether to stop; time spent there goes to ``in_recorder``."""
        lr, spent = self.task.cfg.lr, 0.0
        for _ in range(self.steps):
            loss, norm = self._step()
            began = clock()
            detached = loss.detach()
            self.recorder.step(loss=detached, terms={"mse": (1.0, detached)}, grad_norm=norm, lr=lr, samples=self.size)
            if self.recorder.stop:
                raise RuntimeError("nobody asked this run to stop")
            spent += clock() - began
        self.in_recorder.append(spent)

    def trainer(self) -> None:
        """The vector trainer's loop: drawing batches, its step with metrics and recorder, the look at ``stop``."""
        for _ in range(self.steps):
            train_step(self.task, [next(self.drawn)], self.recorder)
            if self.recorder.stop:
                raise RuntimeError("nobody asked this run to stop")

    def gather(self) -> None:
        """Drawing the batches alone."""
        for _ in range(self.steps):
            next(self.drawn)

    def flops(self) -> int:
        """Floating point operations of one step: all are of products, so that two rows tell what the batch costs."""
        context, target = self.context[:2], self.target[:2]

        def rows() -> None:
            mse(self.task.model(context, return_raw=True)[0], target).backward()  # type: ignore[no-untyped-call]

        return counted(rows) * self.size // len(context)
