"""The reference file: per epoch and metric the mean, the spread and the value of every seed, as text that diffs well.

One file per suite, profile and device kind: ``fixtures/references/<suite>/<profile>-<device>.toml``, looked for above
the run's directory, then in the working directory and above it. Mean and spread stand in it for the reader; they are
computed again on reading, and a file whose numbers do not agree was edited by hand and is refused.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError

FOLDER = Path("fixtures") / "references"
FORMAT = 1
MAX_BYTES = 8 << 20
DIGITS, LARGE = 10, 10**18
_TEXT = ("suite", "profile", "device", "source", "versions", "by", "when", "reason")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What earlier good runs of one suite, profile and device kind measured.

    Attributes:
        seeds: of the runs, in order. config: dotted key -> value as JSON gives it, without the seed.
        source: digest of the trainer's source; ``versions`` of what decides the numbers, such as "torch 2.13.0".
        by, when, reason: who wrote it, when (UTC) and why.
        metrics: metric -> epoch -> values, one per seed.
        steps: seed -> (last step of each window, its mean loss), for the exact mode; empty where not kept.
    """

    suite: str
    profile: str
    device: str
    seeds: tuple[int, ...]
    config: Mapping[str, Any]
    metrics: Mapping[str, Mapping[int, tuple[float, ...]]]
    source: str = ""
    versions: str = ""
    by: str = ""
    when: str = ""
    reason: str = ""
    steps: Mapping[int, tuple[tuple[int, ...], tuple[float, ...]]] = field(default_factory=dict)


def place(root: Path, suite: str, profile: str, device: str) -> Path:
    """Where the reference of a suite belongs below a repository's root."""
    return root / FOLDER / suite / f"{profile}-{device}.toml"


def find(suite: str, profile: str, device: str, start: Path | None = None) -> Path | None:
    """The reference's file, in ``start`` or above it, and then in the working directory or above it."""
    starts = [Path.cwd()] if start is None else [start, Path.cwd()]
    paths = (place(root, suite, profile, device) for here in starts for root in (here, *here.parents))
    return next((path for path in paths if path.is_file()), None)


# -- writing -----------------------------------------------------------------------------------------------------------
def dumps(reference: Reference) -> str:
    """The file's text."""
    lines = [
        f"# {reference.suite}, profile {reference.profile}, device {reference.device}: {len(reference.seeds)} seeds.",
        "# Written by --lvm-update-reference. A line holds mean, spread (n - 1), then the value of each seed.",
        "",
        "[reference]",
        f"format = {FORMAT}",
        *(f"{key} = {json.dumps(getattr(reference, key))}" for key in _TEXT),
        f"seeds = {list(reference.seeds)}",
        "",
        "[config]",
        *(f"{json.dumps(key)} = {json.dumps(json.dumps(value))}" for key, value in reference.config.items()),
    ]
    for metric, epochs in reference.metrics.items():
        lines += ["", f"[metrics.{json.dumps(metric)}]"]
        for epoch, values in epochs.items():
            numbers = [f"{_mean(values):.6g}", f"{spread(values):.3g}", *(_number(v) for v in values)]
            lines.append(f"{epoch} = [{', '.join(numbers)}]")
    for seed, (last, loss) in reference.steps.items():
        lines += ["", f"[steps.{seed}]", f"last = {list(last)}", f"loss = [{', '.join(map(_number, loss))}]"]
    return "\n".join(lines) + "\n"


def spread(values: tuple[float, ...]) -> float:
    """Sample standard deviation; NaN for one value, and where one is not finite."""
    return statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else math.nan


def _mean(values: tuple[float, ...]) -> float:
    return statistics.fmean(values) if all(map(math.isfinite, values)) else math.nan


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < DIGITS


def _is_number(value: object) -> bool:
    """A number that a float can hold; TOML has integers of any length."""
    return type(value) is float or (type(value) is int and abs(value) < LARGE)


def _number(value: float) -> str:
    """Shortest text that reads back to the same float; TOML wants a point or an exponent."""
    text = repr(float(value))
    return text if math.isfinite(value) else {"inf": "inf", "-inf": "-inf"}.get(text, "nan")


# -- reading -----------------------------------------------------------------------------------------------------------
def read(path: Path) -> Reference:
    """The reference in a file.

    Raises:
        InputError: not a reference, of a newer format, or changed by hand.
    """
    import tomli

    if path.is_dir():
        fix = f'References are below {FOLDER}; pytest SUITE --lvm-update-reference "REASON" writes one.'
        raise InputError(path, "expected a reference file, got a folder", fix=fix)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(path, f"expected at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,}")
        table = tomli.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise InputError(path, f"cannot be read: {problem.strerror}") from None
    except (ValueError, RecursionError) as problem:  # TOML's and UTF-8's are ValueErrors, as is one of many digits
        raise InputError(path, f"expected a reference in TOML ({problem})") from None
    head = _table(path, table, "reference")
    if head.get("format") != FORMAT:
        got = f"expected {FORMAT}, got {head.get('format')!r}"
        raise InputError(path, got, key="reference.format", fix="Write it again: --lvm-update-reference REASON.")
    for key in _TEXT:
        if not isinstance(head.get(key), str):
            raise InputError(path, f"expected a string, got {head.get(key)!r}", key=f"reference.{key}")
    seeds = head.get("seeds")
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise InputError(path, f"expected a list of integers, got {seeds!r}", key="reference.seeds")
    return Reference(
        seeds=tuple(seeds),
        config=_config(path, _table(path, table, "config")),
        metrics=_metrics(path, _table(path, table, "metrics"), len(seeds)),
        steps=_steps(path, table.get("steps", {})),
        **{key: head[key] for key in _TEXT},
    )


def _table(path: Path, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if not isinstance(table.get(key), dict):
        raise InputError(path, f"expected a table [{key}]")
    return dict(table[key])


def _config(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {key: json.loads(value) for key, value in table.items()}
    except (TypeError, ValueError) as problem:
        raise InputError(path, f"expected JSON in strings ({problem})", key="config") from None


def _metrics(path: Path, table: Mapping[str, Any], n: int) -> dict[str, dict[int, tuple[float, ...]]]:
    if not table:
        raise InputError(path, "expected at least one metric, got none", key="metrics")
    return {
        metric: {_epoch(path, metric, key): _row(path, f"metrics.{metric}.{key}", row, n) for key, row in rows.items()}
        for metric, rows in ((metric, _table(path, table, metric)) for metric in table)
    }


def _epoch(path: Path, metric: str, key: str) -> int:
    if not _is_count(key):
        raise InputError(path, f"expected the number of an epoch, got {key!r}", key=f"metrics.{metric}")
    return int(key)


def _row(path: Path, key: str, row: object, n: int) -> tuple[float, ...]:
    if not isinstance(row, list) or len(row) != n + 2 or not all(map(_is_number, row)):
        raise InputError(path, f"expected mean, spread and {n} values, got {str(row)[:60]}", key=key)
    values = tuple(float(x) for x in row[2:])
    for said, computed, digits in ((row[0], _mean(values), 6), (row[1], spread(values), 3)):
        if f"{said:.{digits}g}" != f"{computed:.{digits}g}":
            problem = f"says {said:g} where its own values give {computed:.{digits}g}: it was edited by hand"
            raise InputError(path, problem, key=key, fix="Write it again: --lvm-update-reference REASON.")
    return values


def _steps(path: Path, table: object) -> dict[int, tuple[tuple[int, ...], tuple[float, ...]]]:
    found = {}
    for seed, body in table.items() if isinstance(table, dict) else ():
        last, loss = (body.get(name) if isinstance(body, dict) else None for name in ("last", "loss"))
        if not (isinstance(last, list) and isinstance(loss, list) and len(last) == len(loss) and _is_count(seed)):
            raise InputError(path, "expected lists last and loss of one length", key=f"steps.{seed}")
        if not (all(type(x) is int for x in last) and all(map(_is_number, loss))):
            raise InputError(path, "expected whole numbers in last, and numbers in loss", key=f"steps.{seed}")
        found[int(seed)] = (tuple(int(x) for x in last), tuple(float(x) for x in loss))
    return found
