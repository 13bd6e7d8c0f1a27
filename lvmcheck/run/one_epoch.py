"""A record of steps alone, as one epoch: what a script shows that nobody has told of epochs."""

from __future__ import annotations

import math

from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


def one_epoch(run: Run) -> ev.Epoch | None:
    """The end of an epoch that all steps make, with their mean loss; None where epochs or no steps are recorded."""
    if run.last_epoch or not run.windows:
        return None
    lengths = [window.last_step - window.first_step + 1 for window in run.windows]
    total = sum(lengths)
    losses = [window.loss_mean * (length / total) for window, length in zip(run.windows, lengths, strict=True)]
    mean = math.fsum(losses) if all(map(math.isfinite, losses)) else math.nan
    return ev.Epoch(epoch=1, step=run.step, metrics={"train_loss": mean})


def with_one_epoch(run: Run) -> Run:
    """The run, with that epoch where it has none."""
    end = one_epoch(run)
    return run if end is None else run.extended([end])
