"""A run so far in bounded space: what a live judge looks at, so that a look costs the same however long the run is.

Of every series the first and the last events are kept as they are; what lies between is thinned, windows of steps by
merging neighbours, other events by leaving some out. What such a view shows is confirmed on the whole record before it
counts (:mod:`lvmcheck.suite.looks`), and what it cannot show is found when the run has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import itemgetter

from lvmcheck.run.directory import Follower
from lvmcheck.run.events import Event, Log, Term, Window
from lvmcheck.run.view import Run

FIRST, MIDDLE, LAST = 32, 16, 32
"""Events of a series that are kept: the first, at least so many between (at most twice as many), and the last."""
AGAIN = 1.125
"""Growth of the record after which an answer is asked for again that the whole record did not confirm."""
SERIES = 400
"""Series that are told apart; further names share one."""

Numbered = tuple[int, Event]


class _Series:
    """Events of one kind and name, thinned in the middle to one in ``stride``."""

    def __init__(self, merge: Callable[[Event, Event], Event]) -> None:
        self._merge = merge
        self._head: list[Numbered] = []
        self._middle: list[Numbered] = []
        self._tail: deque[Numbered] = deque()
        self._stride, self._held = 1, 0
        self.thinned = False

    def add(self, item: Numbered) -> None:
        if len(self._head) < FIRST:
            self._head.append(item)
            return
        self._tail.append(item)
        if len(self._tail) > LAST:
            self._push(self._tail.popleft())

    def _push(self, item: Numbered) -> None:
        if self._held % self._stride:
            self._middle[-1] = self._merged(self._middle[-1], item)
        else:
            self._middle.append(item)
        self._held += 1
        if len(self._middle) == 2 * MIDDLE and self._held % self._stride == 0:
            pairs = zip(self._middle[::2], self._middle[1::2], strict=True)
            self._middle = [self._merged(one, other) for one, other in pairs]
            self._stride *= 2

    def _merged(self, one: Numbered, other: Numbered) -> Numbered:
        self.thinned = True
        return other[0], self._merge(one[1], other[1])

    def items(self) -> list[Numbered]:
        return [*self._head, *self._middle, *self._tail]


class Bounded:
    """Takes events as they come; holds a number of them that does not grow with the run."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, ...], _Series] = {}
        self._count = 0

    def extend(self, events: Iterable[Event]) -> None:
        """More of the run."""
        for event in events:
            self._count += 1
            key = _key(event)
            if key not in self._series and len(self._series) >= SERIES:
                key = (event.event,)
            if key not in self._series:
                self._series[key] = _Series(_joined if isinstance(event, Window) else _later)
            self._series[key].add((self._count, event))

    @property
    def thinned(self) -> bool:
        """Something is no longer held as it was said."""
        return any(series.thinned for series in self._series.values())

    def events(self) -> tuple[Event, ...]:
        """What is held, in the order in which it was said."""
        items = [item for series in self._series.values() for item in series.items()]
        return tuple(event for _, event in sorted(items, key=itemgetter(0)))


class BoundedView:
    """Of a run that grows, a view of bounded size; its own series are read but once."""

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self._bounded = Bounded()
        self._count = 0
        self._last: Event | None = None

    def of(self, run: Run) -> Run:
        """The view; the run itself while nothing is thinned."""
        events = run.events
        if self._count > len(events) or (self._count and events[self._count - 1] is not self._last):
            self._restart()  # a resumed trainer cut back to its checkpoint
        self._bounded.extend(events[self._count :])
        self._count, self._last = len(events), events[-1] if events else None
        return replace(run, events=self._bounded.events()) if self._bounded.thinned else run


class BoundedFollower(Follower):
    """Reads a run directory while it grows; what it returns holds no more events at its end than after some hours."""

    def _restart(self) -> None:
        super()._restart()
        self._bounded = Bounded()

    def _so_far(self, fresh: list[Event]) -> tuple[Event, ...]:
        self._bounded.extend(fresh)
        return self._bounded.events()

    @property
    def thinned(self) -> bool:
        """What :meth:`read` returned is not the whole record."""
        return self._bounded.thinned


def _key(event: Event) -> tuple[str, ...]:
    if isinstance(event, Log):
        return event.event, *sorted(event.metrics)
    return event.event, getattr(event, "name", "")


def _later(_one: Event, other: Event) -> Event:
    return other


def _larger(a: float, b: float) -> float:
    return a if not a <= b and b == b else b  # a NaN wins over every number


def _joined(one: Event, other: Event) -> Event:
    """Two consecutive windows as one."""
    assert isinstance(one, Window)
    assert isinstance(other, Window)
    steps = one.last_step - one.first_step + 1, other.last_step - other.first_step + 1
    share = steps[0] / max(1, sum(steps))

    def mean(a: float | None, b: float | None) -> float | None:
        return b if a is None or b is None else share * a + (1 - share) * b

    def most(a: float | None, b: float | None) -> float | None:
        return b if a is None else a if b is None else _larger(a, b)

    terms = {
        name: Term(weight=b.weight, mean=share * a.mean + (1 - share) * b.mean)
        for name, b in other.terms.items()
        if (a := one.terms.get(name)) is not None
    }
    metrics = {name: share * one.metrics.get(name, b) + (1 - share) * b for name, b in other.metrics.items()}
    return replace(
        other,
        first_step=one.first_step,
        samples=one.samples + other.samples,
        seconds=one.seconds + other.seconds,
        loss_mean=share * one.loss_mean + (1 - share) * other.loss_mean,
        loss_min=-_larger(-one.loss_min, -other.loss_min),
        loss_max=_larger(one.loss_max, other.loss_max),
        terms=terms if len(terms) == len(other.terms) else other.terms,
        ledger_error=most(one.ledger_error, other.ledger_error),
        grad_norm_mean=mean(one.grad_norm_mean, other.grad_norm_mean),
        grad_norm_max=most(one.grad_norm_max, other.grad_norm_max),
        non_finite=one.non_finite or other.non_finite,
        metrics=metrics,
    )
