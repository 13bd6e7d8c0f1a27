"""What ranks read in their first epoch, what they hold out, and what they say of an epoch."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch

from lvmcheck.run import events as ev
from lvmcheck.run.directory import EVENTS
from lvmcheck.run.evaluations import is_evaluation
from lvmcheck.run.event_lines import EventError, parse_line
from lvmcheck.run.ranks import Figures, Meeting
from lvmcheck.watch.collector import Collector
from lvmcheck.watch.collectors.ranks import RanksCollector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import fingerprints, first_input

BATCHES = 256
"""Batches of a rank's first epoch, and of its first evaluation, whose rows are remembered."""
ROWS = 4096
"""Rows of a batch that are."""
SKETCH = 2048
"""Fingerprints that a rank tells of each: the smallest, so that those of two ranks meet."""
ENDS = b'"event":"epoch"'
"""How the line of an epoch's end begins, behind its bracket."""


class RankDataCollector(Collector):
    """Looks at every batch of the first epoch; afterwards only at what is reported.

    Args:
        meeting: where the ranks meet; None for one process.
        path: of the run directory.
        ranks: what is known of their weights.
    """

    def __init__(self, meeting: Meeting | None, path: Path | None, ranks: RanksCollector) -> None:
        self._meeting = meeting if meeting is not None and meeting.size > 1 else None
        self._path, self._ranks = path, ranks
        self._train: list[torch.Tensor] = []
        self._val: list[torch.Tensor] = []
        self._batches = self._largest = 0
        self._told = False
        self._hook: Any = None
        self._offsets: dict[int, int] = {}
        self._metrics: dict[int, dict[int, dict[str, float]]] = {}

    def start(self, watcher: Loop) -> None:
        if self._meeting is not None:
            look = watcher.guard.hook("rows of ranks", lambda _, args, keywords: self._look(watcher, (args, keywords)))
            self._hook = watcher.parts[0].register_forward_pre_hook(look, with_kwargs=True)

    @torch.no_grad()
    def _look(self, watcher: Loop, inputs: Any) -> None:
        batch = first_input(inputs)
        if batch is None or self._told:
            return
        held = self._val if watcher.evaluating else self._train
        if watcher.evaluating or watcher.model.training:
            self._batches += not watcher.evaluating
            if len(held) < BATCHES:
                held.append(fingerprints(batch, ROWS))
                self._largest = max(self._largest, len(batch))

    def epoch_ended(self, watcher: Loop, evaluated: bool) -> None:  # noqa: ARG002
        self._tell(watcher, ended=True)
        self._reported(watcher)

    def _tell(self, watcher: Loop, *, ended: bool) -> None:
        if self._meeting is None or self._told or not self._train:
            return
        self._told = True
        self._hook.remove()
        train, val = map(_smallest, (self._train, self._val))
        whole = ended and self._batches == len(self._train)
        size = _size(getattr(watcher.train, "loader", None)) if whole else 0
        figures = {
            "train": train[:SKETCH],
            "val": val[:SKETCH],
            "sizes": [float(len(train)), float(len(val)), float(size), float(self._largest)],
        }
        self._train, self._val = [], []
        self._meeting.tell(1, figures, "epoch")
        self._compare(watcher, last=False)

    def _compare(self, watcher: Loop, *, last: bool) -> None:
        meeting = self._meeting
        for _, told in meeting.heard("epoch", last=last) if meeting is not None and meeting.rank == 0 else ():
            if self._ranks.parts:
                continue
            ranks = float(len(told))
            trained = [set(figures.get("train", ())) for figures in told]
            if all(trained):
                overlap = max(_shared(a, b) for i, a in enumerate(trained) for b in trained[:i])
                values = {"ranks": ranks, "overlap": overlap, "rows": sum(f["sizes"][0] for f in told)}
                values |= _seen(told, trained)
                watcher.emit("rank_passes", values, (), watcher.step)
            held = [set(figures.get("val", ())) for figures in told]
            if all(trained) and all(held):
                leaked = max(_shared(v, t) for i, v in enumerate(held) for j, t in enumerate(trained) if i != j)
                own = max(_shared(v, t) for v, t in zip(held, trained, strict=True))
                watcher.emit("rank_split", {"ranks": ranks, "leaked": leaked, "own": own}, (), watcher.step)

    def finish(self, watcher: Loop) -> None:
        if self._hook is not None:
            self._hook.remove()
        self._tell(watcher, ended=False)
        self._compare(watcher, last=True)
        self._reported(watcher)

    # -- metrics -------------------------------------------------------------------------------------------------------
    def _reported(self, watcher: Loop) -> None:
        """Compare what the ranks have reported of the same epochs."""
        meeting = self._meeting
        if meeting is None or meeting.rank or self._path is None:
            return
        for rank in range(meeting.size):
            name = self._path / EVENTS if rank == 0 else meeting.folder / f"{rank}.events.jsonl"
            for event in self._epochs(rank, name):
                of = {name: value for name, value in event.metrics.items() if is_evaluation(name)}
                self._metrics.setdefault(event.epoch, {})[rank] = of
        for epoch in sorted(epoch for epoch, told in self._metrics.items() if len(told) == meeting.size):
            worst = _worst(self._metrics.pop(epoch))
            if worst is not None:
                values = {"ranks": float(meeting.size), "apart": worst[1]}
                watcher.emit("rank_metrics", values, (worst[0],), watcher.step)

    def _epochs(self, rank: int, path: Path) -> list[ev.Epoch]:
        raw = b""
        with contextlib.suppress(OSError), path.open("rb") as file:
            file.seek(self._offsets.get(rank, 0))
            raw = file.read()
        whole = raw[: raw.rfind(b"\n") + 1]
        self._offsets[rank] = self._offsets.get(rank, 0) + len(whole)
        found = []
        for line in whole.splitlines():
            if ENDS in line[:32]:
                with contextlib.suppress(EventError):
                    found.append(parse_line(line))
        return [event for event in found if isinstance(event, ev.Epoch)]


def _smallest(rows: list[torch.Tensor]) -> list[float]:
    """Fingerprints of these batches, each once, in order."""
    return sorted({float(row) for batch in rows for row in batch.tolist()})


def _size(loader: Any) -> int:
    """Rows that the data set of a loader holds; 0 where it does not say."""
    try:
        return len(loader.dataset)
    except (TypeError, AttributeError):
        return 0


def _shared(rows: set[float], of: set[float]) -> float:
    """Share of ``rows`` that are among ``of``, of which both are the smallest of many: up to where both reach."""
    reach = min(max(rows), max(of)) if len(rows) == SKETCH or len(of) == SKETCH else float("inf")
    counted = {row for row in rows if row <= reach}
    return len(counted & of) / len(counted) if counted else 0.0


def _seen(told: list[Figures], trained: list[set[float]]) -> dict[str, float]:
    """Share of the data set's rows that any rank read, where all of them said all."""
    sizes = {figures["sizes"][2] for figures in told}
    if len(sizes) != 1 or not (size := sizes.pop()) or any(len(rows) == SKETCH for rows in trained):
        return {}
    spare = sum(figures["sizes"][3] for figures in told)  # a last batch that was dropped
    return {"seen": len(set().union(*trained)) / size, "spare": spare / size}


def _worst(told: dict[int, dict[str, float]]) -> tuple[str, float] | None:
    """The metric that all ranks reported and that differs most, with the difference over its size."""
    names = set.intersection(*(set(metrics) for metrics in told.values()))
    apart = {}
    for name in names:
        values = [metrics[name] for metrics in told.values()]
        size = max(map(abs, values))
        apart[name] = (max(values) - min(values)) / size if size > 0 else 0.0
    worst = max(apart, key=lambda name: (apart[name], name), default=None)
    return None if worst is None else (worst, apart[worst])
