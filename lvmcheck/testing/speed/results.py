"""What every stored result carries, so that it can be compared with another machine's or another day's."""

from __future__ import annotations

from typing import Any

from lvmcheck.testing.speed.stopwatch import Place
from lvmcheck.testing.speed.turns import Spread


def comparable(
    benchmark: Any,
    relative: Spread,
    *,
    calibration: str,
    place: Place,
    batch: int | None = None,
    samples_per_s: float | None = None,
    dtype: str | None = "float32",
    **more: object,
) -> None:
    """Writes into ``extra_info`` of a benchmark what a comparison reads, and ``more``.

    Args:
        relative: duration of one unit of the subject (a step, a call) over that of the calibration kernel in the same
            turns: what a machine's speed and load at the time cancel from.
        calibration: name of that kernel; results beside different ones cannot be compared.
        batch: rows of one unit, where it has any. samples_per_s: rows or tokens a second.
    """
    benchmark.extra_info.update(
        device=place.device.type,
        dtype=dtype,
        batch=batch,
        threads=place.threads,
        samples_per_s=samples_per_s,
        relative=relative.median,
        relative_low=relative.low,
        relative_high=relative.high,
        calibration=calibration,
        **more,
    )
