"""An immutable view of a run so far: what checks judge, live, afterwards and from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curves
from lvmcheck.run.evaluations import evaluations, no_epochs
from lvmcheck.run.shown import ShownInNotebooks
from lvmcheck.text.fit import one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

E = TypeVar("E", bound=ev.Event)
EPOCH_AT = "epoch_at"
"""Key of ``info``: step -> the epoch, perhaps with a fraction, that a log of steps states there."""


@dataclass(frozen=True)
class Series:
    """A metric by epoch: ``epochs`` int64 [n] ascending, ``values`` float64 [n] (NaN where the run said NaN)."""

    name: str
    epochs: NDArray[np.int64]
    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def at(self, epoch: int) -> float | None:
        """The value at that epoch, or None when it was not logged."""
        hits = (self.epochs == epoch).nonzero()[0]
        return float(self.values[hits[-1]]) if len(hits) else None


@dataclass(frozen=True)
class Run(ShownInNotebooks):
    """A run so far.

    Args:
        events: everything it has said, in order.
        info: the content of ``run.json`` (config, seed, versions, device, digests); empty for foreign histories.
        done: the completion record; None while the run goes on, or for ever if it died.
        death: why no completion record will come ("trainer exited 0 before ..."), when it is known.
        path: the run directory, when there is one.
        torn: bytes of an unfinished last line that were not read.
        as_it_ended: judged without its plan: a run that ended in an orderly way early (a plain ``break``) is whole.
    """

    events: tuple[ev.Event, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    done: Mapping[str, Any] | None = None
    death: str | None = None
    path: Path | None = None
    torn: int = 0
    as_it_ended: bool = False

    def without_plan(self) -> Run:
        """The same run, judged as far as it went: for checks that nobody planned for it."""
        return replace(self, as_it_ended=True)

    def extended(self, more: Iterable[ev.Event]) -> Run:
        """The same run with further events."""
        return replace(self, events=(*self.events, *more))

    # -- what it is --------------------------------------------------------------------------------------------------
    @property
    def config(self) -> Mapping[str, Any]:
        config = self.info.get("config")
        return config if isinstance(config, dict) else {}

    @property
    def seed(self) -> int | None:
        seed = self.info.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def planned_epochs(self) -> int | None:
        """Epochs the config asks for, or None when the run did not say.

        Fewer where the run ended early by a rule that its config holds (``early_stop``): a trainer that returns early
        without one has not done what was planned.
        """
        epochs = self.stated_epochs
        if epochs is None or (self.as_it_ended and self.over):
            return None
        early = self.of(ev.Early) if self.config.get("early_stop") else ()
        return min(epochs, early[-1].epoch) if early else epochs

    @property
    def stated_epochs(self) -> int | None:
        """Epochs that the config states, however the run ended."""
        epochs = self.config.get("epochs")
        return epochs if isinstance(epochs, int) and not isinstance(epochs, bool) else None

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Facts about the data, the first statement of each: a later one would change what was decided by it."""
        merged: dict[str, Any] = {}
        for event in reversed(self.of(ev.Data)):
            merged.update(event.facts)
        return merged

    @cached_property
    def data_name(self) -> str | None:
        data = self.of(ev.Data)
        return data[0].name if data else None

    @cached_property
    def used_device(self) -> str | None:
        """The kind of device that training used, where the run records it."""
        devices = self.of(ev.Device)
        return devices[-1].kind if devices else None

    @cached_property
    def declared(self) -> tuple[str, ...] | None:
        """Metric names the run promised, or None when it promised nothing."""
        said = self.of(ev.Declare)
        names = tuple(dict.fromkeys(name for event in said for name in event.metrics))
        return names or None  # roles alone promise nothing

    @cached_property
    def curves(self) -> Curves:
        """Its series with their roles: the loss by step and by epoch, metrics, learning rate, gradient norm."""
        said: dict[str, Any] = dict(self.info.get("roles") or {})
        for event in self.of(ev.Declare):
            said.update(getattr(event, "roles", None) or {})
        probes, watched = (*self.of(ev.Probe), *self._logged), self.of(ev.Watch)
        return Curves(self.of(ev.Epoch), self.windows, probes, said, watched, counted=self.counts_evaluations)

    @property
    def _logged(self) -> Iterator[ev.Probe]:
        """What was measured by step beside loss, learning rate and gradient norm, as one probe a value."""
        stated = any(isinstance(event, ev.Epoch) for event in self.events)
        taken = set() if stated else {event.step for event in self.of(ev.Epoch)}
        for window in self.windows:
            for name, value in window.metrics.items():
                yield ev.Probe(
                    t=window.t, name=name, epoch=window.epoch, step=window.last_step, values={"value": value}
                )
        for log in self.of(ev.Log):
            for name, value in log.metrics.items() if log.step not in taken else ():
                yield ev.Probe(t=log.t, name=name, epoch=log.epoch, step=log.step, values={"value": value})

    # -- how far it is -----------------------------------------------------------------------------------------------
    @property
    def over(self) -> bool:
        """No further event will come."""
        return self.done is not None or self.death is not None

    @property
    def finished(self) -> bool:
        """It ran to its planned end and said so."""
        return self.done is not None and self.done.get("status") == "finished" and self.death is None

    @cached_property
    def last_epoch(self) -> int:
        """The last epoch that ended; 0 before the first."""
        ends = self.of(ev.Epoch)
        return ends[-1].epoch if ends else 0

    @cached_property
    def step(self) -> int:
        """Optimizer steps known so far."""
        kinds = (ev.Epoch, ev.Log, ev.Probe, ev.Stage, ev.Sample, ev.Checkpoint, ev.Stop)
        steps = [event.step for event in self.events if isinstance(event, kinds)]
        return max([window.last_step for window in self.windows] + steps, default=0)

    # -- what it said ------------------------------------------------------------------------------------------------
    def of(self, kind: type[E]) -> tuple[E, ...]:
        """All events of one kind, in order."""
        return self._by_kind.get(kind, ())  # type: ignore[return-value]

    @cached_property
    def _by_kind(self) -> dict[type[ev.Event], tuple[ev.Event, ...]]:
        grouped: dict[type[ev.Event], list[ev.Event]] = {}
        for event in self.events:
            grouped.setdefault(type(event), []).append(event)
        if self.counts_evaluations:
            grouped[ev.Epoch] = list(evaluations(self.events))
        return {kind: tuple(items) for kind, items in grouped.items()}

    @cached_property
    def counts_evaluations(self) -> bool:
        """Whether it has steps and evaluations alone, so that the n-th evaluation stands for epoch n."""
        return (self.over or self.as_it_ended) and no_epochs(self.events)  # an epoch may still come

    @cached_property
    def metric_names(self) -> tuple[str, ...]:
        """Every metric logged by an epoch so far."""
        return tuple(dict.fromkeys(name for event in self.of(ev.Epoch) for name in event.metrics))

    def series(self, metric: str) -> Series:
        """The metric by epoch; empty when it was never logged."""
        import numpy as np

        said = [(event.epoch, event.metrics[metric]) for event in self.of(ev.Epoch) if metric in event.metrics]
        return Series(
            metric,
            np.array([epoch for epoch, _ in said], dtype=np.int64),
            np.array([value for _, value in said], dtype=np.float64),
        )

    @property
    def windows(self) -> tuple[ev.Window, ...]:
        return self.of(ev.Window)

    def window_column(self, name: str) -> Floats:
        """One number of every window, float64 [windows]; NaN where a window does not state it."""
        import numpy as np

        values = (getattr(window, name) for window in self.windows)
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    def probes(self, name: str) -> tuple[ev.Probe, ...]:
        return tuple(event for event in self.of(ev.Probe) if event.name == name)

    def evaluation(self, name: str) -> ev.Evaluation | None:
        """The latest evaluation of that name."""
        return next((event for event in reversed(self.of(ev.Evaluation)) if event.name == name), None)

    def stopped_where(self) -> str:
        """``run stopped at epoch 2 of 20 by cosine_floor[...]``: how and where an ended run ended."""
        planned = f" of {self.planned_epochs}" if self.planned_epochs else ""
        if self.death is not None:
            return one_line(f"run died after epoch {self.last_epoch}{planned}: {self.death}")
        status = (self.done or {}).get("status", "ended")
        reason = (self.done or {}).get("reason")
        epochs = (self.last_epoch or planned) and not self.counts_evaluations
        counted = f"at epoch {self.last_epoch}{planned}" if epochs else f"at step {self.step:,}"
        where = counted if self.last_epoch or self.step else "before its first step"
        return one_line(f"run {status} {where}" + (f" by {reason}" if reason else ""))


def run_from(
    epochs: Mapping[str, Sequence[float]], *, config: Mapping[str, Any] | None = None, first: int = 1, over: bool = True
) -> Run:
    """A run made of per-epoch metrics alone, as the histories of foreign loops are.

    Args:
        epochs: metric name to its values, one per epoch; all of one length.
        config: the configuration, when known.
        first: number of the first epoch.
        over: whether the run has ended.
    """
    lengths = {len(values) for values in epochs.values()}
    if len(lengths) > 1:
        raise ValueError(f"metrics of different lengths: {sorted(lengths)}")
    count = lengths.pop() if lengths else 0
    said = tuple(
        ev.Epoch(epoch=first + i, step=0, metrics={name: float(values[i]) for name, values in epochs.items()})
        for i in range(count)
    )
    info = {} if config is None else {"config": dict(config)}
    return Run(events=said, info=info, done={"status": "finished"} if over else None)
