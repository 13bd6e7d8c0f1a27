"""The AMN of ``suites/amn_790k`` as loops to compare: written bare, with the recorder, and as the vector trainer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import Linear

from lvmcheck.recorder import Recorder, record
from lvmcheck.suite import load_suite
from models.losses import mse
from models.lvm.amn import AMN
from models.trainers.batches import Loader, epoch_order
from models.trainers.learner import Learner
from models.trainers.vector import step
from models.trainers.vector_config import parse
from suites.throughput.interleave import clock

SUITE = Path(__file__).parents[1] / "amn_790k" / "suite.toml"
WINDOWS = 4096  # of the twin: enough for eight batches of 512


def amn_config(batch: int, **changes: object) -> dict[str, object]:
    """The run of the suite's full profile at another batch size, on a small twin and the CPU."""
    config = load_suite(SUITE, profile="full").config
    data = {**cast(dict[str, object], config["data"]), "sequences": WINDOWS, "val_sequences": 256, "ood_sequences": 256}
    return {**config, "data": data, "batch_size": batch, "device": "cpu", "threads": 1, **changes}


@dataclass
class Loops:
    """One model and one optimizer, stepped by whichever loop is measured.

    Args:
        learner: data, model and optimizer as the trainer makes them.
        folder: a directory for the recorder.
        steps: optimizer steps of one call of a loop.
        window: steps of one window of the recorder; suites have 50.
    """

    learner: Learner
    folder: Path
    steps: int
    window: int
    in_recorder: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = self.learner.cfg.batch_size
        self.windows = self.learner.data.train_epoch(1)
        self.loader = Loader(self.windows, self.size, self.learner.device)
        self.parameters = list(self.learner.model.parameters())
        self.progress = self.learner.start()
        self.recorder: Recorder = record(self.folder / "run", window=self.window)
        self.context, self.target = (tensor.clone() for tensor in self.loader.gather(slice(0, self.size)))
        whole = len(self.windows) // self.size
        order = epoch_order(0, 1, len(self.windows))[: whole * self.size]
        self.batches = cycle(np.split(order, whole))

    @classmethod
    def make(cls, batch: int, folder: Path, *, steps: int, window: int = 50) -> Loops:
        """Everything new."""
        return cls(Learner.make(parse(amn_config(batch))), folder, steps, window)

    def _step(self) -> tuple[Tensor, Tensor]:
        """What any loop must do, and nothing else: no number is read."""
        raw, _ = self.learner.model(self.context, return_raw=True)
        loss = mse(raw, self.target)
        self.learner.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.learner.cfg.clip_norm)
        self.learner.optimizer.step()
        return loss, norm

    def bare(self) -> None:
        """The loop without lvmcheck."""
        for _ in range(self.steps):
            self._step()

    def recorded(self) -> None:
        """The same loop reporting every step and asking whether to stop; time spent there goes to ``in_recorder``."""
        lr, spent = self.learner.cfg.lr, 0.0
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
            step(self.learner, self.progress, self.recorder, *self.loader.gather(next(self.batches)))
            if self.recorder.stop:
                raise RuntimeError("nobody asked this run to stop")

    def gather(self) -> None:
        """Drawing the batches alone."""
        for _ in range(self.steps):
            self.loader.gather(next(self.batches))

    def products(self) -> Callable[[], None]:
        """The matrix products of as many steps, each in the layout that forward and backward use, and nothing else."""
        model = cast(AMN, self.learner.model)
        calls = [call for shape in products(model, self.size, self.windows.context) for call in shape.calls()]

        def run() -> None:
            for _ in range(self.steps):
                for call in calls:
                    call()

        return run


@dataclass(frozen=True)
class Product:
    """The products of one linear layer in a training step: ``rows`` inputs of ``width`` to ``out`` outputs.

    ``inward`` is whether the gradient of its input is needed: not for layers that see the data directly.
    """

    rows: int
    width: int
    out: int
    inward: bool

    @property
    def flops(self) -> int:
        """Of forward and backward: a multiplication and an addition count as two."""
        return 2 * self.rows * self.width * self.out * (3 if self.inward else 2)

    def calls(self) -> list[Callable[[], Tensor]]:
        """Forward, gradient of the weight and, where needed, of the input, as functions of no argument."""
        x, weight = torch.randn(self.rows, self.width), torch.randn(self.out, self.width)
        grad, bias = torch.randn(self.rows, self.out), torch.randn(self.out)
        forward = partial(torch.addmm, bias, x, weight.T, out=torch.empty_like(grad))
        backward = partial(torch.mm, grad.T, x, out=torch.empty_like(weight))
        return [forward, backward, *([partial(torch.mm, grad, weight, out=torch.empty_like(x))] if self.inward else [])]


def products(model: AMN, batch: int, context: int, *, as_written: bool = False) -> list[Product]:
    """Those of AMN's linear layers as it computes them, or ``as_written`` in facts A1: a key for each context vector,
    where the model maps the query back to the width of the data instead.
    """
    wide, narrow = model.input_dim, model.key.out_features
    first, second = cast(Linear, model.residual[0]), cast(Linear, model.residual[3])
    key = Product(batch * context, wide, narrow, inward=False) if as_written else Product(batch, narrow, wide, True)
    return [
        key,
        Product(batch, wide, narrow, inward=False),  # query of the mean of the data
        Product(batch, 2 * wide, first.out_features, inward=True),
        Product(batch, first.out_features, second.out_features, inward=True),
        Product(batch, second.out_features, wide, inward=True),
    ]


def linear_flops(model: AMN, batch: int, context: int, *, as_written: bool = False) -> int:
    """Floating point operations of the linear layers in one training step, forward and backward."""
    return sum(product.flops for product in products(model, batch, context, as_written=as_written))


def attention_flops(model: AMN, batch: int, context: int) -> int:
    """Those of scores and mixture: forward, and the gradient of the factor that is not data."""
    return 2 * batch * context * 4 * model.input_dim
