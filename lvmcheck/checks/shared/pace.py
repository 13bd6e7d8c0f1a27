"""Throughput of a run by epoch, beside that of a calibration kernel where its trainer times one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

PROBE = "throughput"
RATE, KERNEL, FLOPS = "samples_per_second", ("kernel_before", "kernel_after"), "flops_per_sample"


class UnpacedError(Exception):
    """A run does not record its throughput, or only a part of it."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """An epoch's pace.

    Args:
        rate: samples a second over the training loop.
        before, after: rate in flop/s of a calibration kernel on the same device and threads, timed just before and just
            after that loop; None where the trainer times none.
        flops: operations of training on one sample.
    """

    epoch: int
    rate: float
    before: float | None = None
    after: float | None = None
    flops: float | None = None

    @property
    def kernel(self) -> float | None:
        """Mean rate of the kernel, in flop/s."""
        return None if self.before is None or self.after is None else (self.before + self.after) / 2

    @property
    def share(self) -> float | None:
        """Operations of training a second over those of the kernel: the model flops utilisation."""
        return None if self.kernel is None or self.flops is None else self.rate * self.flops / self.kernel

    def unequal(self) -> float:
        """Difference of the kernel's two rates over their mean; 0 where there is no kernel."""
        if self.before is None or self.after is None or self.kernel is None:
            return 0.0
        return abs(self.after - self.before) / self.kernel


def paces(run: Run) -> tuple[Pace, ...]:
    """One for each recorded epoch, in order: from probes where there are any, else from the epoch events.

    Raises:
        UnpacedError: a probe lacks a number, or a kernel's rate is no positive one.
    """
    probes = run.probes(PROBE)
    if not probes:
        rates = ((event.epoch, event.samples_per_second) for event in run.of(ev.Epoch))
        return tuple(Pace(epoch=epoch, rate=rate) for epoch, rate in rates if rate is not None)
    latest = {probe.epoch: probe for probe in probes}
    return tuple(map(_pace, (latest[epoch] for epoch in sorted(latest))))


def _pace(probe: ev.Probe) -> Pace:
    values = probe.values
    required = (RATE, *KERNEL, FLOPS) if set(values) & {*KERNEL, FLOPS} else (RATE,)
    lacking = next((key for key in required if key not in values), None)
    if lacking is not None:
        raise UnpacedError(f"the probe {PROBE!r} of epoch {probe.epoch} records no {lacking!r}")
    if len(required) == 1:
        return Pace(epoch=probe.epoch, rate=values[RATE])
    before, after = (values[key] for key in KERNEL)
    if before <= 0 or after <= 0:  # a NaN goes on, and fails every comparison
        raise UnpacedError(f"the kernel rate of epoch {probe.epoch} is {min(before, after):g} flop/s, expected above 0")
    return Pace(epoch=probe.epoch, rate=values[RATE], before=before, after=after, flops=values[FLOPS])


def middle(values: Sequence[float]) -> float:
    """Their median; NaN where one of them is not finite."""
    return statistics.median(values) if all(map(math.isfinite, values)) else math.nan


def ends(values: Sequence[float]) -> tuple[float, float]:
    """Medians of the first and of the last third, of at least two values: one epoch that warms up moves neither."""
    third = max(1, len(values) // 3)
    return middle(values[:third]), middle(values[-third:])


def fall(values: Sequence[float]) -> float:
    """How many times lower the last third is than the first; infinite where it is 0."""
    early, late = ends(values)
    if math.isnan(early) or math.isnan(late):
        return math.nan
    return early / late if late > 0 else math.inf
