"""Moments as every file of lvmcheck writes them: UTC, ISO 8601, to the second."""

from __future__ import annotations

import calendar
import time

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def utc(seconds: float | None = None) -> str:
    """Seconds since 1970 as text; now without any."""
    return time.strftime(FORMAT, time.gmtime(seconds))


def seconds_of(text: object) -> float | None:
    """The moment as seconds since 1970; None where the text is none."""
    try:
        return float(calendar.timegm(time.strptime(str(text), FORMAT)))
    except ValueError:
        return None
