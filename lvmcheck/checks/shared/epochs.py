"""What checks on per-epoch metrics share: when a series is complete, broken or not there at all."""

from __future__ import annotations

import math
from dataclasses import replace

from lvmcheck.checks.finding import Finding, Outcome, failed, not_recorded, pending
from lvmcheck.checks.protocol import missing_metric
from lvmcheck.errors import BadValueError
from lvmcheck.run.view import Run, Series


def complete(run: Run) -> bool:
    """No further epoch will come and none is missing.

    With a planned number of epochs all of them must have ended: an early return counts as incomplete, even with
    exit code 0. Without one the completion record decides.
    """
    if run.as_it_ended:
        return run.over
    if run.death is not None:
        return False
    if run.planned_epochs is not None:
        return run.last_epoch >= run.planned_epochs
    return run.finished


def awaiting(_run: Run, what: str, evaluated: int = 0) -> Outcome:
    """Pending until the run holds ``what``."""
    return pending(what, evaluated=evaluated)


def by_epoch(run: Run, metric: str) -> dict[int, float]:
    """The metric as epoch -> value; empty when it was never logged."""
    series = run.series(metric)
    return dict(zip(series.epochs.tolist(), series.values.tolist(), strict=True))


def first_not_finite(series: Series) -> int | None:
    """Index of the first NaN or infinite value."""
    return next((i for i, value in enumerate(series.values.tolist()) if not math.isfinite(value)), None)


def not_finite(series: Series, *, until: int | None = None) -> Outcome | None:
    """A fail when the series holds a NaN or an infinity (before index ``until``), which no bound can accept."""
    index = first_not_finite(series)
    if index is None or (until is not None and index >= until):
        return None
    found = no_number(series.name, float(series.values[index]), int(series.epochs[index]))
    return replace(found, evaluated=index + 1)


def no_number(metric: str, value: float, epoch: int) -> Outcome:
    """The fail of one value that is a NaN or an infinity."""
    phrase = "{metric} is {measured}, not a finite number"
    return failed(Finding(code="not_finite", metric=metric, measured=value, epoch=epoch, phrase=phrase), evaluated=1)


def not_at_end(run: Run, series: Series) -> Outcome | None:
    """ "Not recorded" when a complete run did not log the metric at its last epoch: what is missing has not passed."""
    if series.at(run.last_epoch) is not None:
        return None
    seen = f"last recorded at epoch {int(series.epochs[-1])}" if len(series) else "never recorded"
    return not_recorded(f"{series.name} is not recorded at epoch {run.last_epoch}, the last one ({seen})")


def windows_not_at_end(run: Run) -> Outcome | None:
    """ "Not recorded" when a complete run stopped reporting windows of steps before its last epoch."""
    if not run.windows or run.windows[-1].epoch >= run.last_epoch:
        return None
    last = run.windows[-1]
    return not_recorded(
        f"no step is recorded after step {last.last_step:,} of epoch {last.epoch}, of {run.last_epoch} epochs"
    )


def at_epoch(run: Run, metric: str, epoch: int) -> float | Outcome:
    """The metric at that epoch, or why it cannot be had (not recorded), or not yet (pending)."""
    absent = missing_metric(run, metric)
    if absent is not None:
        return absent
    series = run.series(metric)
    value = series.at(epoch)
    if value is not None:
        return value
    if run.last_epoch >= epoch:
        seen = ", ".join(str(e) for e in series.epochs[:8].tolist()) or "none"
        return not_recorded(f"{metric} is not recorded at epoch {epoch}; epochs that record it: {seen}")
    return awaiting(run, f"{metric} at epoch {epoch}")


def check_number(key: str, value: object, low: float, high: float = math.inf) -> None:
    """Raise BadValueError unless ``low <= value <= high`` and finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadValueError(key, f"expected a finite number, got {value!r}")
    if not low <= value <= high:
        bounds = f"at least {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
        raise BadValueError(key, f"expected {bounds}, got {value:g}")


def check_count(key: str, value: object, low: int = 1) -> None:
    """Raise BadValueError unless ``value`` is an integer of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise BadValueError(key, f"expected an integer of at least {low}, got {value!r}")
