"""The ordinary step of a training loop, for loops whose point is another one."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer

from lvmcheck.run.recorder import Recorder


def learn(rec: Recorder, optimizer: Optimizer, loss: Tensor) -> None:
    """One step on a loss, recorded."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    rec.step(loss=loss)
