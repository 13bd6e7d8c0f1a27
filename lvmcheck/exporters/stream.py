"""Events as rows of numbers and tables of text, each at its place."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from lvmcheck.exporters.entry import Entry, Position, Scalars, TextTable
from lvmcheck.run import events as ev
from lvmcheck.run.event_lines import spell
from lvmcheck.text.fit import clean

LONGEST = 100_000
"""Characters of any one text."""
_WINDOW = tuple(
    f.name
    for f in dataclasses.fields(ev.Window)
    if f.name not in ("t", "epoch", "first_step", "last_step", "terms", "metrics", "non_finite")
)


class Stream:
    """Turns the events of one run, in order, into entries.

    Args:
        started: seconds since 1970 at which the run began; events count from there.

    An epoch's metrics keep their names; what else a run measures stands below ``window/``, ``probe/``, ``evaluation/``
    and ``epoch/``, text below ``samples/`` and ``about/``.
    """

    def __init__(self, started: float) -> None:
        self.place = Position(step=0, epoch=1, time=started)
        self._started = started
        self._step, self._epoch = 0, 1
        self._named: dict[tuple[str, str], tuple[int, int]] = {}  # at which step last, and how often there
        self._counts_steps = False

    def entries(self, event: ev.Event) -> Iterator[Entry]:
        """What this event says; nothing for those that only promise (``declare``)."""
        step, epoch = self._axes(event)
        event = self._told_apart(event, step)
        values = {name: value for name, value in _numbers(event).items() if value is not None}
        if values:
            yield Scalars(place=self._at(step, epoch, event.t), values=values)
        for tag, columns, rows in _texts(event):
            cleaned = tuple(tuple(clean(text, LONGEST) for text in row) for row in rows)
            yield TextTable(place=self._at(step, epoch, event.t), tag=tag, columns=columns, rows=cleaned)

    def _axes(self, event: ev.Event) -> tuple[int, int]:
        """Step and epoch that the event states; where it states none, those that the run has come to."""
        step = event.last_step if isinstance(event, ev.Window) else getattr(event, "step", 0)
        epoch = getattr(event, "epoch", 0)
        self._counts_steps = self._counts_steps or step > 0
        if isinstance(event, ev.Epoch) and not self._counts_steps:
            step = epoch
        self._step, self._epoch = max(step, self._step), max(epoch, self._epoch)
        return step or self._step, epoch or self._epoch

    def _told_apart(self, event: ev.Event, step: int) -> ev.Event:
        """Measurements of one name at one step, such as of each checkpoint, as ``reload``, ``reload#2``, ..."""
        if not isinstance(event, ev.Evaluation | ev.Probe):
            return event
        key = (event.event, event.name)
        before, count = self._named.get(key, (-1, 0))
        count = count + 1 if before == step else 1
        self._named[key] = (step, count)
        return event if count == 1 else dataclasses.replace(event, name=f"{event.name}#{count}")

    def _at(self, step: int, epoch: int, t: float) -> Position:
        moment = self._started + t if math.isfinite(t) else 0.0
        self.place = Position(step=step, epoch=epoch, time=max(moment, self.place.time + 1e-3))
        return self.place


def _numbers(event: ev.Event) -> Mapping[str, float | None]:
    if isinstance(event, ev.Epoch):
        own = {"epoch/seconds": event.seconds, "epoch/samples_per_second": event.samples_per_second}
        return {**event.metrics, **own}
    if isinstance(event, ev.Window):
        own = {f"window/{name}": getattr(event, name) for name in _WINDOW}
        own |= {f"window/{name}": getattr(event, name) or None for name in ("samples", "seconds")}  # 0: not counted
        terms = {f"window/term/{name}": term.mean for name, term in event.terms.items()}
        own |= {f"window/metric/{name}": value for name, value in event.metrics.items()}
        return {**own, **terms, **{f"window/weight/{name}": term.weight for name, term in event.terms.items()}}
    if isinstance(event, ev.Probe):
        return {f"probe/{event.name}/{key}": value for key, value in event.values.items()}
    if isinstance(event, ev.Evaluation):
        return {f"evaluation/{event.name}/{key}": value for key, value in event.metrics.items()}
    return {}


Text = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Tag, columns, rows."""


def _texts(event: ev.Event) -> Iterator[Text]:
    if isinstance(event, ev.Sample):
        row = (event.prompt, event.text, event.answer or "", event.dataset or "")
        yield f"samples/{event.name}", ("prompt", "text", "answer", "dataset"), [row]
    elif isinstance(event, ev.Data):
        yield "about/data", *_listed({"name": event.name, "fingerprint": event.fingerprint, **event.facts})
        for note in event.notes:
            yield _note(note)
    elif isinstance(event, ev.Model | ev.Stage | ev.Checkpoint):
        kind = {ev.Model: "model", ev.Stage: "stages", ev.Checkpoint: "checkpoints"}[type(event)]
        body = {f.name: getattr(event, f.name) for f in dataclasses.fields(event) if f.name != "t"}
        yield f"about/{kind}", *_listed(body)
    elif isinstance(event, ev.Window) and event.non_finite is not None:
        yield "about/non_finite", *_listed(event.non_finite)
    else:
        sentence = _sentence(event)
        if sentence is not None:
            yield _note(sentence)


def _sentence(event: ev.Event) -> str | None:
    if isinstance(event, ev.Note):
        return event.text
    if isinstance(event, ev.Begin) and event.resumed_at_step is not None:
        return f"continued from a checkpoint at step {event.resumed_at_step:,}"
    if isinstance(event, ev.Stop):
        return f"asked to stop: {event.reason}"
    if isinstance(event, ev.Early):
        return f"ended early: {event.reason}"
    return f"{event.name}: {event.about}" if isinstance(event, ev.Evaluation) and event.about else None


def _note(text: str) -> Text:
    return "about/notes", ("note",), [(text,)]


def _listed(values: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    return ("name", "value"), [(name, spelled_out(value)) for name, value in values.items()]


def spelled_out(value: Any) -> str:
    """A value of JSON as one text: texts as they are, anything else as JSON writes it."""
    if isinstance(value, str):
        return value
    return json.dumps(spell(value if not isinstance(value, Mapping) else dict(value)), ensure_ascii=False)
