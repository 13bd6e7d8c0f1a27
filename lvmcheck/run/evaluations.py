"""Evaluations of runs without epochs: the n-th step that has one stands for epoch n."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lvmcheck.run import events as ev


def evaluations(events: Iterable[ev.Event]) -> Iterator[ev.Epoch]:
    """Evaluations of a run without epochs, as epochs: the n-th step that has one is epoch n."""
    steps: dict[int, tuple[float, dict[str, float]]] = {}
    last, count = 0, 0
    for event in events:
        if isinstance(event, ev.Log):
            last, found = event.step, dict(event.metrics)
        elif isinstance(event, ev.Evaluation) and is_evaluation(event.name):
            found = {name if is_evaluation(name) else f"val_{name}": value for name, value in event.metrics.items()}
        else:
            last = event.last_step if isinstance(event, ev.Window) else last
            continue
        steps.setdefault(last, (event.t, {}))[1].update(found)
    for step, (t, metrics) in steps.items():
        if any(map(is_evaluation, metrics)):
            count += 1
            yield ev.Epoch(t=t, epoch=count, step=step, metrics=metrics)


def no_epochs(events: Iterable[ev.Event]) -> bool:
    """Whether figures were recorded at steps, and no end of an epoch."""
    kinds = set(map(type, events))
    return ev.Epoch not in kinds and (ev.Log in kinds or ev.Evaluation in kinds)


def is_evaluation(metric: str) -> bool:
    """Whether a name says that the metric was measured on data that is not trained on."""
    first = re.split(r"[_/.\- ]", metric.lower(), maxsplit=1)[0]
    return first in ("val", "valid", "validation", "eval", "evaluation", "test", "dev", "ood", "holdout")
