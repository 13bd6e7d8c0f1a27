"""What checks of the optimizer share: one number of every probe that states it, judged by its median at the end."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from lvmcheck import events as ev
from lvmcheck.checks._compare import Comparison, settle
from lvmcheck.checks._epochs import awaiting, complete
from lvmcheck.finding import Outcome, error, figure
from lvmcheck.run import Run


def every_probe(run: Run, key: str, compare: Callable[[float, tuple[str, ...]], Comparison]) -> Outcome:
    """``compare`` of the median of ``key`` over all probes and of what to show; one NaN makes the median NaN."""
    values = [probe.values[key] for probe in run.of(ev.Probe) if key in probe.values]
    if not complete(run):
        return awaiting(run, f"probes of {key}", evaluated=len(values))
    if not values:
        return error(f"no probe states {key!r}: not measured")
    median = statistics.median(values) if not any(map(math.isnan, values)) else math.nan
    shown = f"{len(values)} probes: first {figure(values[0])}, last {figure(values[-1])}"
    return settle([compare(median, (shown,))], evaluated=len(values))
