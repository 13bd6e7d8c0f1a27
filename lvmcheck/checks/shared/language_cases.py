"""Runs of language models that the cases of checks are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lvmcheck.checks.shared.cases import lines
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

STEPS = 100
"""Optimizer steps of an epoch in these runs."""


def epochs(
    *by_epoch: Sequence[ev.Event],
    metrics: Mapping[str, Sequence[float]] | None = None,
    config: Mapping[str, object] | None = None,
    over: bool = True,
) -> Run:
    """A run of as many epochs as there are arguments: the events of each before it ends, and its metrics.

    A validation loss that falls from 3 to 2 nats stands for whatever else is logged.
    """
    events: list[ev.Event] = [ev.Begin()]
    falling = lines(len(by_epoch), 3.0, 2.0)
    for i, own in enumerate(by_epoch):
        events += own
        values = {name: float(column[i]) for name, column in (metrics or {}).items()}
        events.append(ev.Epoch(epoch=i + 1, step=(i + 1) * STEPS, metrics={"val_loss": falling[i], **values}))
    info = {} if config is None else {"config": dict(config)}
    return Run(events=tuple(events), info=info, done={"status": "finished"} if over else None)


def probed(name: str, *values: Mapping[str, float], config: Mapping[str, object] | None = None) -> Run:
    """A finished run with one probe of that name at the end of each epoch."""
    by_epoch = [
        [ev.Probe(name=name, epoch=i + 1, step=(i + 1) * STEPS, values=dict(each))] for i, each in enumerate(values)
    ]
    return epochs(*by_epoch, config=config)


def evaluated(name: str, *metrics: Mapping[str, float], config: Mapping[str, object] | None = None) -> Run:
    """A finished run of one epoch with these evaluations before its first step."""
    return epochs([ev.Evaluation(name=name, metrics=dict(each)) for each in metrics], config=config)


def data(facts: Mapping[str, ev.Value], **config: object) -> Run:
    """A run that has recorded only its data."""
    event = ev.Data(name="generated", fingerprint="0" * 64, facts=dict(facts))
    return Run(events=(ev.Begin(), event), info={"config": config})


def window(epoch: int, last: int, *, samples: int = 0, steps: int = 50, loss: float = 2.0) -> ev.Window:
    """A window of ``steps`` optimizer steps that ends at step ``last``."""
    return ev.Window(
        epoch=epoch,
        first_step=last - steps + 1,
        last_step=last,
        samples=samples,
        loss_mean=loss,
        loss_min=loss,
        loss_max=loss,
    )


def staged(scored: int, *samples: Sequence[int]) -> Run:
    """A finished run of one stage with its scored tokens, and the tokens of each window by epoch."""
    begin = ev.Stage(index=0, name="all", epoch=1, step=0, fingerprint="0" * 64, facts={"scored_tokens": scored})
    by_epoch: list[list[ev.Event]] = []
    last = 0
    for epoch, counts in enumerate(samples, 1):
        by_epoch.append([begin] if epoch == 1 else [])
        for count in counts:
            last += 50
            by_epoch[-1].append(window(epoch, last, samples=count))
    return epochs(*by_epoch)
