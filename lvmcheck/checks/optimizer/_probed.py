"""What checks of the optimizer share: one number of every probe that states it, judged by its median at the end."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from lvmcheck.checks.finding import Fact, Outcome, not_recorded
from lvmcheck.checks.shared.epochs import awaiting, complete
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


def stated(run: Run, key: str) -> list[float]:
    """The number in every probe that states it, in order."""
    return [probe.values[key] for probe in run.of(ev.Probe) if key in probe.values]


def median(values: list[float]) -> float:
    """Their median; NaN when one of them is."""
    return math.nan if any(map(math.isnan, values)) else statistics.median(values)


def at_end(run: Run, key: str) -> tuple[list[float], tuple[Fact, ...]] | Outcome:
    """All numbers of a key with facts about them; pending before the end, "not recorded" where there is none."""
    values = stated(run, key)
    if not complete(run):
        return awaiting(run, f"probes of {key}", evaluated=len(values))
    if not values:
        return not_recorded(f"no probe records {key!r}")
    return values, (Fact("probes", len(values)), Fact("first", values[0]), Fact("last", values[-1]))


def setting(run: Run, name: str) -> object:
    """A setting of the optimizer in the run's configuration; None where it has none."""
    table = run.config.get("optimizer")
    return table.get(name) if isinstance(table, Mapping) else None
