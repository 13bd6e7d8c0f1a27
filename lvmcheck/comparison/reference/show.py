"""A reference for people: who wrote it, from what, and its figures."""

from __future__ import annotations

import statistics

from lvmcheck.checks.wording import figure
from lvmcheck.statistics.reference_file import Reference, spread


def lines(reference: Reference) -> list[str]:
    """Head and one line a metric: first, middle and last epoch with spread."""
    found = [
        f"{reference.suite}, profile {reference.profile}, device {reference.device}",
        f"seeds {', '.join(map(str, reference.seeds))}; {reference.versions}",
        f"written {reference.when} by {reference.by}: {reference.reason}",
        f"trainer's source {reference.source[:12] or 'not recorded'}",
    ]
    for metric, rows in reference.metrics.items():
        epochs = sorted(rows)
        chosen = list(dict.fromkeys((epochs[0], epochs[len(epochs) // 2], epochs[-1])))
        parts = [f"epoch {e} {figure(statistics.fmean(rows[e]))} ± {figure(spread(rows[e]))}" for e in chosen]
        found.append(f"{metric:24} {'   '.join(parts)}")
    return found
