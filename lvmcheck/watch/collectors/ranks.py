"""Ranks of data parallelism: whether they hold the same weights after a step, and draw rows of their own.

Nothing is sent through the job's process group: a rank that measures at another moment cannot block the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lvmcheck.run.ranks import Figures, Meeting
from lvmcheck.watch.budget import joint
from lvmcheck.watch.collector import Collector
from lvmcheck.watch.measure.batches import fingerprints, first_input
from lvmcheck.watch.measure.elements import elements

if TYPE_CHECKING:
    from lvmcheck.watch.loop import Loop
    from lvmcheck.watch.slot import Slot

SPLIT = 1e-4
"""Difference of weights, and share of equal rows, that are no rounding and no chance."""
TINY = 1e-12
"""Size of weights below which none is compared."""


class RanksCollector(Collector):
    """At steps 1, 2, 5, 10, 20, 50 and so on, which every rank measures.

    Args:
        meeting: where the ranks meet; None for one process.
    """

    def __init__(self, meeting: Meeting | None) -> None:
        self._meeting = meeting if meeting is not None and meeting.size > 1 else None
        self._rows: list[float] = []
        self._seen = 0

    def before_sample(self, watcher: Loop) -> None:  # noqa: ARG002
        self._rows = []

    def before_forward(self, watcher: Loop, inputs: Any) -> None:
        batch = first_input(inputs)
        if self._meeting is None or batch is None or self._seen == watcher.now or not joint(watcher.now):
            return
        self._seen = watcher.now

        def use(numbers: list[float], _step: int) -> None:
            self._rows = numbers

        watcher.later(fingerprints(batch), use)

    def after_step(self, watcher: Loop, slot: Slot) -> None:
        meeting = self._meeting
        if meeting is None or slot is not watcher.slots[0] or not joint(watcher.now):
            return
        held = [parameter.detach() for parameter in slot.parameters if parameter.requires_grad]
        if not held or any(hasattr(parameter, "to_local") for parameter in held):
            return  # each rank holds a part of its own

        sizes = [float(parameter.numel()) for parameter in held]

        def use(numbers: list[float], step: int) -> None:
            meeting.tell(step, {"weights": numbers, "rows": self._rows, "sizes": sizes})
            self._compare(watcher, last=False)

        watcher.later(summary(held), use)

    def finish(self, watcher: Loop) -> None:
        self._compare(watcher, last=True)

    def _compare(self, watcher: Loop, *, last: bool) -> None:
        for step, told in self._meeting.heard(last=last) if self._meeting is not None else ():
            ranks = float(len(told))
            apart, same = _apart(told), _same_rows(told)
            if any(figures.get("sizes") != told[0].get("sizes") for figures in told) or _parts(apart, same):
                continue
            if apart is not None:
                watcher.emit("ranks", {"ranks": ranks, "apart": apart}, (), step)
            if same is not None:
                watcher.emit("rank_rows", {"ranks": ranks, "same": same}, (), step)


def summary(parameters: list[Tensor]) -> Tensor:
    """Eight projections of a few elements of each parameter, and their size: float64 [9]; equal for equal weights."""
    values = elements(parameters).double()
    places = torch.arange(len(values), device=values.device, dtype=torch.float64)
    signs = torch.stack([torch.cos((k + 1) * 1.7 * places + k) for k in range(8)])
    return torch.cat([signs @ values, values.norm().reshape(1)])


def _apart(told: list[Figures]) -> float | None:
    """Largest difference of a rank's weights from those of rank 0, relative to the size of the weights."""
    first, size = told[0]["weights"][:-1], told[0]["weights"][-1]
    others = [figures.get("weights", ()) for figures in told[1:]]
    if size < TINY or any(len(other) != len(first) + 1 for other in others):
        return None
    return max(abs(a - b) for other in others for a, b in zip(first, other, strict=False)) / size


def _parts(apart: float | None, same: float | None) -> bool:
    """Whether ranks with other weights read the same rows, as those do that hold parts of one model."""
    return apart is not None and same is not None and apart > SPLIT and same > SPLIT


def _same_rows(told: list[Figures]) -> float | None:
    """Largest share of a rank's rows that rank 0 has at the same step, too."""
    first = set(told[0].get("rows", ()))
    shares = [len(first & set(rows)) / len(set(rows)) for figures in told[1:] if (rows := figures.get("rows", ()))]
    return max(shares) if first and shares else None
