"""What one benchmark measured: its time relative to a calibration kernel that took turns with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lvmcheck.errors import InputError, nearest

DEVICES = ("cpu", "cuda", "mps")
SETTINGS = ("dtype", "batch", "threads")
"""Keys of ``extra_info`` that must agree for two results to be of the same thing, where both state them."""
LEAST, MOST = 1e-12, 1e12
"""No benchmark takes less or more than so many times its calibration kernel."""
SPREAD = ("relative_low", "relative", "relative_high")


@dataclass(frozen=True, kw_only=True)
class Result:
    """Time of a benchmark over that of its calibration kernel, dimensionless and positive.

    Args:
        name: the benchmark's full name (pytest's node id).
        device: kind of the device: cpu, cuda or mps.
        calibration: name of the kernel, such as ``gemm1024-float32``.
        relative: the median over turns; ``low`` and ``high`` its quartiles.
        settings: those of :data:`SETTINGS` that the benchmark states.
    """

    name: str
    device: str
    calibration: str
    relative: float
    low: float
    high: float
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles, as a natural logarithm: 0.05 is about 5 %."""
        return math.log(self.high / self.low) / 2


def result_of(name: str, info: Mapping[str, object], where: str | Path) -> Result | None:
    """The result that a benchmark's ``extra_info`` states; None where it states none.

    Raises:
        InputError: a part of it is missing, of another type, not a positive number, or out of order.
    """
    stated = [key for key in (*SPREAD, "calibration") if key in info]
    if not stated:
        return None
    lacking = next((key for key in (*SPREAD, "calibration", "device") if key not in info), None)
    if lacking is not None:
        raise InputError(where, f"expected {lacking!r} beside {stated[0]!r}, got nothing", key=f"{name}: extra_info")
    low, relative, high = (_positive(name, key, info[key], where) for key in SPREAD)
    if not low <= relative <= high:
        got = f"expected relative_low <= relative <= relative_high, got {low:g}, {relative:g}, {high:g}"
        raise InputError(where, got, key=f"{name}: extra_info")
    device, calibration = info["device"], info["calibration"]
    if device not in DEVICES:
        fix = nearest(str(device)[:60], DEVICES)
        problem = f"expected a kind of device, got {str(device)[:60]!r}"
        raise InputError(where, problem, key=f"{name}: extra_info.device", fix=fix)
    if not isinstance(calibration, str) or not calibration:
        problem = f"expected the name of a kernel, got {str(calibration)[:60]!r}"
        raise InputError(where, problem, key=f"{name}: extra_info.calibration")
    return Result(
        name=name,
        device=str(device),
        calibration=calibration,
        relative=relative,
        low=low,
        high=high,
        settings={key: info[key] for key in SETTINGS if key in info},
    )


def _positive(name: str, key: str, value: object, where: str | Path) -> float:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not LEAST <= number <= MOST:  # a NaN is not, and an integer of any length is compared exactly
        problem = f"expected a positive number ({LEAST:g} to {MOST:g}), got {str(value)[:60]!r}"
        raise InputError(where, problem, key=f"{name}: extra_info.{key}")
    return float(number)


def different(now: Result, then: Result) -> str:
    """In what two results are not of the same measurement; empty where they are."""
    if now.device != then.device:
        return f"device {now.device}, there {then.device}"
    if now.calibration != then.calibration:
        return f"calibration kernel {now.calibration[:60]}, there {then.calibration[:60]}"
    both = (key for key in SETTINGS if key in now.settings and key in then.settings)
    parts = (
        f"{key} {str(now.settings[key])[:60]}, there {str(then.settings[key])[:60]}"
        for key in both
        if now.settings[key] != then.settings[key]
    )
    return "; ".join(parts)
