"""A stored session of benchmarks: pytest-benchmark's document, with what lvmcheck adds so that a part is no whole."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvmcheck.comparison.throughput.result import Result, result_of
from lvmcheck.errors import InputError
from lvmcheck.readers._files import json_object
from lvmcheck.statistics.differences import factors, shown

BLOCK = "lvmcheck"
"""Key of what lvmcheck adds to pytest-benchmark's document."""
FORMAT = 1
MAX_BYTES = 64 << 20
MOST = 10_000
"""Benchmarks of a document."""
AGAIN = "Measure it again: --benchmark-json FILE, with lvmcheck's plugin on."
VOLATILE = ("node", "release", "cpu", "load_average")
"""Parts of pytest-benchmark's machine info that say nothing of speed, or not the same twice; ``cpu`` is summed up."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a document holds: at least one result.

    Args:
        results: by the benchmark's full name.
        uncalibrated: benchmarks that state no result, which nothing can be compared with.
        machine: pytest-benchmark's ``machine_info``.
    """

    path: Path
    results: Mapping[str, Result]
    uncalibrated: tuple[str, ...]
    machine: Mapping[str, Any]

    @property
    def devices(self) -> tuple[str, ...]:
        """Kinds of device that it holds results of."""
        return tuple(sorted({result.device for result in self.results.values()}))


def block(asked: Collection[str], missing: Mapping[str, str]) -> dict[str, Any]:
    """What is added to a document: how many benchmarks its session asked for, and why it lacks some of them."""
    return {"format": FORMAT, "asked": len(asked), "missing": dict(missing)}


def fastest(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A document's benchmarks with one entry each: of one that was measured again, that of the lowest quartile."""
    best: dict[str, dict[str, Any]] = {}
    for entry in entries:
        known = best.setdefault(entry["fullname"], entry)
        if _high(entry) < _high(known):
            best[entry["fullname"]] = entry
    return list(best.values())


def _high(entry: Mapping[str, Any]) -> float:
    value = entry["extra_info"].get("relative_high")
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else math.inf


def read(path: Path) -> Stored:
    """The document in a file.

    Raises:
        InputError: no such file, too large, cut off, another kind of file, of a session that ended half-way, or
            without a single result.
    """
    body = _body(path)
    entries, machine = body.get("benchmarks"), body.get("machine_info")
    if not isinstance(entries, list) or not isinstance(machine, dict):
        got = ", ".join(sorted(map(str, body))[:6]) or "nothing"
        problem = f"expected pytest-benchmark's document with benchmarks and machine_info, got the keys {got}"
        raise InputError(path, problem[:300], fix=AGAIN)
    if len(entries) > MOST:
        raise InputError(path, f"expected at most {MOST:,} benchmarks, got {len(entries):,}")
    results: dict[str, Result] = {}
    uncalibrated = []
    for number, entry in enumerate(entries):
        name, info = _entry(path, number, entry)
        if name in results or name in uncalibrated:
            raise InputError(path, f"{name[:200]!r} stands twice", key=f"benchmarks[{number}]")
        result = result_of(name, info, path)
        if result is None:
            uncalibrated.append(name)
        else:
            results[name] = result
    _whole(path, body.get(BLOCK))
    if not results:
        problem = f"none of {len(entries)} benchmarks states 'relative', its time over that of a calibration kernel"
        raise InputError(path, problem, fix=AGAIN)
    return Stored(path=path, results=results, uncalibrated=tuple(uncalibrated), machine=machine)


def _body(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(path, "expected a file, found none", fix=AGAIN)
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(path, f"expected at most {MAX_BYTES:,} bytes, got {size:,}")
    try:
        return json_object(path)
    except InputError as problem:
        if "JSON" in problem.problem:
            cut = f"A file that ends in the middle was cut off. {AGAIN}"
            raise InputError(path, problem.problem, line=problem.line, fix=cut) from None
        raise


def _entry(path: Path, number: int, entry: object) -> tuple[str, Mapping[str, object]]:
    name, info = (entry.get(key) if isinstance(entry, dict) else None for key in ("fullname", "extra_info"))
    if not isinstance(name, str) or not isinstance(info, dict):
        raise InputError(path, "expected a benchmark with fullname and extra_info", key=f"benchmarks[{number}]")
    return name, info


def _whole(path: Path, body: object) -> None:
    """Raise unless the document says that its session measured all that it was asked for."""
    if not isinstance(body, dict) or body.get("format") != FORMAT or not isinstance(body.get("missing"), dict):
        raise InputError(path, "does not say whether its session measured all that it was asked for", fix=AGAIN)
    missing: dict[str, Any] = body["missing"]
    if missing:
        first = "; ".join(f"{name[:200]}: {str(why)[:120]}" for name, why in list(missing.items())[:3])
        more = f"; and {len(missing) - 3} more" if len(missing) > 3 else ""
        problem = f"its session ended half-way: {len(missing)} of {body.get('asked')} benchmarks are missing"
        raise InputError(path, f"{problem} ({first}{more})", fix=AGAIN)


def other_machine(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    """In which names and versions two machines differ, such as ``cpu 'AMD EPYC', there 'Intel Xeon'``.

    Args:
        now, then: pytest-benchmark's ``machine_info``.
    """
    return [f"{key} {shown(here)}, there {shown(there)}" for key, here, there in factors(_lasting(now), _lasting(then))]


def _lasting(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What lasts of a machine: texts and whole numbers, and the processor's name."""
    lasting = {key: value for key, value in machine.items() if key not in VOLATILE and isinstance(value, str | int)}
    processor = machine.get("cpu")
    brand = processor.get("brand_raw") if isinstance(processor, Mapping) else None
    return {**({"cpu": brand} if isinstance(brand, str) else {}), **lasting}
