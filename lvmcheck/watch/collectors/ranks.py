"""Ranks of data parallelism: whether they begin with the same weights, and hold the same ones after a step.

Nothing is sent through the job's process group: a rank that measures at another moment cannot block the others.
"""

from __future__ import annotations

import gc
from collections import Counter
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from lvmcheck.run.ranks import Figures, Meeting
from lvmcheck.watch.budget import joint
from lvmcheck.watch.collector import Collector
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import fingerprints, first_input
from lvmcheck.watch.measure.elements import elements
from lvmcheck.watch.slot import Slot

SPLIT = 1e-4
"""Difference of weights, and share of equal rows, that are no rounding and no chance."""
TINY = 1e-12
"""Size of weights below which none is compared."""
BETWEEN = 4
"""Steps before which ranks have exchanged as much as before this one, and that are looked at: weights that are averaged
between two steps are equal then, and no more at the end of the next step."""
LOOKS = 3
"""Looks in a row that find ranks apart, after which their wrapper is looked for."""


class RanksCollector(Collector):
    """At steps 1, 2, 5, 10, 20, 50 and so on, which every rank measures, and before some others.

    Attributes:
        parts: ranks hold parts of one model, which read what they have to.

    Args:
        meeting: where the ranks meet; None for one process.
    """

    def __init__(self, meeting: Meeting | None) -> None:
        self._meeting = meeting if meeting is not None and meeting.size > 1 else None
        self.parts = False
        self._rows: list[float] = []
        self._inner = 0.0
        self._seen = 0
        self._agreed, self._looks = 0, 0
        self._last: tuple[int, dict[str, float]] | None = None
        self._wrapped: bool | None = None
        self._exchanged = 0
        self._between: Counter[int] = Counter()

    def start(self, watcher: Loop) -> None:
        if self._meeting is None:
            return
        self._exchanged = exchanged()
        look = watcher.guard.hook("ranks", lambda *_: self._before_any_step(watcher))
        self._hook = watcher.slots[0].optimizer.register_step_pre_hook(look)

    def _before_any_step(self, watcher: Loop) -> None:
        """Where ranks have exchanged more, or less, than before other steps, weights may have been averaged."""
        now = exchanged()
        amount, self._exchanged = now - self._exchanged, now
        self._between[amount] += 1
        if self._between[amount] <= BETWEEN:
            self._tell(watcher, watcher.slots[0], "begin", watcher.step + 1)

    def before_sample(self, watcher: Loop) -> None:  # noqa: ARG002
        self._rows = []

    def before_forward(self, watcher: Loop, inputs: Any) -> None:
        batch = first_input(inputs)
        if self._meeting is None or batch is None or self._seen == watcher.now or not joint(watcher.now):
            return
        self._seen, self._inner = watcher.now, float(batch.requires_grad)

        def use(numbers: list[float], _step: int) -> None:
            self._rows = numbers

        watcher.later(fingerprints(batch), use)

    def after_step(self, watcher: Loop, slot: Slot) -> None:
        if self._meeting is not None and slot is watcher.slots[0] and joint(watcher.now):
            self._tell(watcher, slot, "step", watcher.now)

    def _tell(self, watcher: Loop, slot: Slot, topic: str, step: int) -> None:
        meeting = self._meeting
        held = [parameter.detach() for parameter in slot.parameters if parameter.requires_grad]
        if meeting is None or not held or any(hasattr(parameter, "to_local") for parameter in held):
            return  # each rank holds a part of its own
        sizes = [float(parameter.numel()) for parameter in held]

        def use(numbers: list[float], _step: int) -> None:
            more = {"rows": self._rows, "inner": [self._inner]} if topic == "step" else {}
            meeting.tell(step, {"weights": numbers, "sizes": sizes, **more}, topic)
            self._compare(watcher, last=False)

        with torch.no_grad():
            watcher.later(summary(held), use)

    def finish(self, watcher: Loop) -> None:
        if self._meeting is None:
            return
        self._hook.remove()
        self._compare(watcher, last=True)
        if self._last is not None and self._looks:
            watcher.emit("ranks", {**self._last[1], "over": 1.0}, (), self._last[0])

    def _compare(self, watcher: Loop, *, last: bool) -> None:
        meeting = self._meeting
        if meeting is None or meeting.rank:
            return
        for step, told in meeting.heard("begin", last=last):
            self._begun(watcher, step, told)
        for step, told in meeting.heard(last=last):
            apart, same = apart_of(told), _same_rows(told)
            if any(figures.get("sizes") != told[0].get("sizes") for figures in told) or _parts(told, apart, same):
                self.parts = True
                continue
            if apart is not None:
                self._found(watcher, step, apart)
            if same is not None:
                watcher.emit("rank_rows", {"ranks": float(meeting.size), "same": same}, (), step)

    def _begun(self, watcher: Loop, step: int, told: list[Figures]) -> None:
        """Ranks that agree before a step have not drifted, whatever they do within it."""
        apart = apart_of(told)
        if apart is None or any(figures.get("sizes") != told[0].get("sizes") for figures in told):
            return
        if apart <= SPLIT:
            self._agreed, self._looks = max(self._agreed, step - 1), 0
        if step == 1:
            watcher.emit("ranks_begin", {"ranks": float(len(told)), "apart": apart}, (), step)

    def _found(self, watcher: Loop, step: int, apart: float) -> None:
        if apart <= SPLIT:
            self._agreed, self._looks = max(self._agreed, step), 0
        else:
            self._looks += 1
        assert self._meeting is not None
        if self._looks >= LOOKS and self._wrapped is None:
            wrapper = wrapper_of(watcher)
            self._wrapped = wrapper is not None and not getattr(wrapper, "_comm_hooks", None)
        values = {
            "ranks": float(self._meeting.size),
            "apart": apart,
            "looks": float(self._looks),
            "since": float(max(0, step - self._agreed)),
            "wrapped": float(bool(self._wrapped)),
        }
        self._last = step, values
        watcher.emit("ranks", values, (), step)


def exchanged() -> int:
    """Collectives that this process has begun in its default group, as torch counts them; 0 without a group."""
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        return 0
    group: Any = import_module("torch.distributed.distributed_c10d")._get_default_group()
    count = getattr(group, "_get_sequence_number_for_group", None)
    try:
        return 0 if count is None else int(count())
    except RuntimeError:  # a backend that does not count
        return 0


def wrapper_of(watcher: Loop) -> nn.Module | None:
    """The DistributedDataParallel that holds the watched parameters, wherever it is; None where there is none."""
    kind = nn.parallel.DistributedDataParallel
    if isinstance(watcher.model, nn.parallel.DistributedDataParallel):
        return watcher.model
    held = {id(parameter) for parameter in watcher.model.parameters()}
    for item in gc.get_objects():
        if type(item) is kind and any(id(parameter) in held for parameter in item.parameters()):
            return item
    return None


def summary(parameters: list[Tensor]) -> Tensor:
    """Eight projections of a few elements of each parameter, and their size: float64 [9]; equal for equal weights."""
    values = elements(parameters).double()
    places = torch.arange(len(values), device=values.device, dtype=torch.float64)
    signs = torch.stack([torch.cos((k + 1) * 1.7 * places + k) for k in range(8)])
    return torch.cat([signs @ values, values.norm().reshape(1)])


def apart_of(told: list[Figures]) -> float | None:
    """Largest difference of a rank's weights from those of rank 0, relative to the size of the weights."""
    first, size = told[0]["weights"][:-1], told[0]["weights"][-1]
    others = [figures.get("weights", ()) for figures in told[1:]]
    if size < TINY or any(len(other) != len(first) + 1 for other in others):
        return None
    return max(abs(a - b) for other in others for a, b in zip(first, other, strict=False)) / size


def _parts(told: list[Figures], apart: float | None, same: float | None) -> bool:
    """Whether ranks hold parts of one model: they read the same rows with other weights (parts of every layer), or
    one reads what another computed, whose gradient it passes back (stages of a pipeline).
    """
    stages = len({tuple(figures.get("inner", ())) for figures in told}) > 1
    return stages or (apart is not None and same is not None and apart > SPLIT and same > SPLIT)


def _same_rows(told: list[Figures]) -> float | None:
    """Largest share of a rank's rows that rank 0 has at the same step, too."""
    first = set(told[0].get("rows", ()))
    shares = [len(first & set(rows)) / len(set(rows)) for figures in told[1:] if (rows := figures.get("rows", ()))]
    return max(shares) if first and shares else None
