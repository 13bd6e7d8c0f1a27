"""How ranks work together: how often gradients are reduced, who waits for whom, and who is gone at the end."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

import torch
from torch import nn

from lvmcheck.run.rank_ends import last_seen
from lvmcheck.run.ranks import Figures, Meeting
from lvmcheck.watch.budget import joint
from lvmcheck.watch.collector import Collector
from lvmcheck.watch.collectors.ranks import wrapper_of
from lvmcheck.watch.collectors.schedule import HORIZONS
from lvmcheck.watch.loop import Loop
from lvmcheck.watch.measure.batches import first_input
from lvmcheck.watch.slot import Slot

NORMS = nn.modules.batchnorm._BatchNorm
FEW = 5
"""Steps between two joint looks below which nothing is said of the pace."""


class RankWorkCollector(Collector):
    """Sees the time from one step to the end of the next forward pass, in which no rank waits for another.

    Args:
        meeting: where the ranks meet; None for one process.
    """

    def __init__(self, meeting: Meeting | None) -> None:
        self._meeting = meeting if meeting is not None and meeting.size > 1 else None
        self._handles: list[Any] = []
        self._norms: dict[str, Any] = {}
        self._wrapper: nn.Module | None = None
        self._sought = False
        self._passes: list[bool] = []
        self._busy, self._steps, self._since = 0.0, 0, 0.0
        self._free: float | None = None

    def start(self, watcher: Loop) -> None:
        if self._meeting is None:
            return
        now = time.perf_counter()
        self._free = self._since = now
        self._scheduler = getattr(watcher.scheduler, "scheduler", watcher.scheduler)
        self._began = self._calls()
        optimizer, hook = watcher.slots[0].optimizer, partial(watcher.guard.hook, "work of ranks")
        self._handles = [
            watcher.model.register_forward_hook(hook(self._forward_done)),
            optimizer.register_step_post_hook(hook(lambda *_: self._stepped())),
        ]
        for name, module in watcher.model.named_modules():
            if isinstance(module, NORMS) and not isinstance(module, nn.SyncBatchNorm):
                self._norms[name] = module.register_forward_pre_hook(
                    hook(lambda module, args, name=name: self._normalised(watcher, name, module, args))
                )

    # -- every step ----------------------------------------------------------------------------------------------------
    def _forward_done(self, *_: Any) -> None:
        if self._free is not None and torch.is_grad_enabled():
            self._busy += time.perf_counter() - self._free
            self._free = None  # of several micro-batches the first: in what follows ranks may wait

    def _stepped(self) -> None:
        self._steps += 1
        self._free = time.perf_counter()

    def _normalised(self, watcher: Loop, name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        batch = first_input(args)
        if self._meeting is None or batch is None or not module.training or batch.ndim < 2:
            return
        for handle in self._norms.values():
            handle.remove()
        norms, self._norms = len(self._norms), {}
        if self._meeting.rank == 0 and norms:
            values = {"ranks": float(self._meeting.size), "values": batch.numel() / batch.shape[1], "norms": norms}
            watcher.emit("rank_norms", values, (name,))

    # -- measured steps ------------------------------------------------------------------------------------------------
    def before_sample(self, watcher: Loop) -> None:  # noqa: ARG002
        self._passes = []

    def before_forward(self, watcher: Loop, inputs: Any) -> None:  # noqa: ARG002
        if self._meeting is None or self._meeting.rank:
            return
        if not self._sought and len(self._passes) == 1:  # of interest where a step has several passes
            self._sought, self._wrapper = True, wrapper_of(watcher)
        if self._wrapper is None and isinstance(watcher.model, nn.parallel.DistributedDataParallel):
            self._wrapper = watcher.model
        self._passes.append(bool(getattr(self._wrapper, "require_backward_grad_sync", True)))

    def after_step(self, watcher: Loop, slot: Slot) -> None:
        meeting = self._meeting
        if meeting is None or slot is not watcher.slots[0]:
            return
        if self._wrapper is not None and self._passes and meeting.rank == 0:
            passes, synced = float(len(self._passes)), float(sum(self._passes))
            watcher.emit("rank_syncs", {"ranks": float(meeting.size), "passes": passes, "synced": synced})
        if joint(watcher.now):
            now = time.perf_counter()
            if self._steps >= FEW:
                meeting.tell(watcher.now, {"busy": [self._busy], "whole": [now - self._since]}, "pace")
                self._compare(watcher, last=False)
            self._busy, self._steps, self._since = 0.0, 0, now

    def _compare(self, watcher: Loop, *, last: bool) -> None:
        meeting = self._meeting
        for step, told in meeting.heard("pace", last=last) if meeting is not None and meeting.rank == 0 else ():
            watcher.emit("rank_pace", pace(told), (), step)

    # -- between and at the end ----------------------------------------------------------------------------------------
    def _calls(self) -> int:
        return int(getattr(self._scheduler, "last_epoch", 0) or 0)

    def epoch_ended(self, watcher: Loop, evaluated: bool) -> None:  # noqa: ARG002
        self._scheduled(watcher)

    def _scheduled(self, watcher: Loop) -> None:
        meeting = self._meeting
        if meeting is None or meeting.rank or self._scheduler is None:
            return
        stated = (getattr(self._scheduler, name, None) for name in HORIZONS)
        horizon = next((float(value) for value in stated if isinstance(value, int | float) and value), None)
        if horizon is not None:
            calls, steps = float(self._calls() - self._began), float(watcher.step)
            values = {"ranks": float(meeting.size), "calls": calls, "steps": steps, "horizon": horizon}
            watcher.emit("rank_schedule", values, (type(self._scheduler).__name__,))

    def finish(self, watcher: Loop) -> None:
        if self._meeting is None:
            return
        for handle in (*self._handles, *self._norms.values()):
            handle.remove()
        self._scheduled(watcher)
        self._compare(watcher, last=True)
        if self._meeting.rank == 0:
            kind, error, _ = sys.exc_info()  # the run may end because of what is being raised
            reason = None if kind is None else f"{kind.__name__}: {error}"
            for values in last_seen(self._meeting, watcher.recorded, reason):
                watcher.emit("rank_ends", {**values, "rank_0_failed": float(reason is not None)})


def pace(told: list[Figures]) -> dict[str, float]:
    """The rank that was busy longest, against the one that was least, and the share of the time that this makes."""
    busy = [figures["busy"][0] for figures in told]
    whole = max(figures["whole"][0] for figures in told)
    most, least = max(busy), min(busy)
    return {
        "ranks": float(len(told)),
        "rank": float(busy.index(most)),
        "slower": most / max(least, 1e-9),
        "share": (most - least) / max(whole, 1e-9),
    }
