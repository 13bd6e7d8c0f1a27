"""A reference from finished runs, and the comparison of two references in words."""

from __future__ import annotations

import getpass
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.run.alike import FIX, MACHINE, repeated
from lvmcheck.run.utc import utc
from lvmcheck.run.view import Run
from lvmcheck.statistics.differences import factors, flat, shown
from lvmcheck.statistics.reference_file import Reference, place, spread

WINDOWS = 400
"""Windows of steps stored for the exact mode."""
UNCOMPARED = ("seed", "threads", "device")
"""Settings that may differ between a run and its reference: the device's kind is in the file's name."""


def reference_of(runs: Sequence[Run], *, reason: str, by: str | None = None) -> Reference:
    """The reference that finished runs of one suite, profile and device make, one run per seed.

    Raises:
        InputError: no run, runs that do not belong together, unfinished or non-finite ones, or equal ones.
    """
    if not runs:
        raise InputError("reference", "expected at least one run, got none")
    first = runs[0]
    for run in runs:
        _fits(run, first)
    if not stable_metrics(first):
        raise InputError(f"seed{first.seed}", "expected metrics of epochs, got none")
    same = repeated(runs)
    if same is not None:
        raise InputError("reference", same.problem(), fix=FIX)
    return Reference(
        suite=str(first.info.get("suite", "")),
        profile=str(first.info.get("profile", "")),
        device=str(first.info.get("device", "")),
        seeds=tuple(run.seed or 0 for run in runs),
        config={key: value for key, value in flat(first.config) if key not in UNCOMPARED},
        metrics={metric: _epochs(runs, metric) for metric in stable_metrics(first)},
        source=str(first.info.get("source", "")),
        versions=_versions(first),
        by=by if by is not None else getpass.getuser(),
        when=utc(),
        reason=reason,
        steps={run.seed or 0: _steps(run) for run in runs},
    )


def _fits(run: Run, first: Run) -> None:
    name = f"seed{run.seed}"
    if not run.finished:
        raise InputError(name, f"expected a finished run: {run.stopped_where()}")
    for key in ("suite", "profile", "device"):
        if run.info.get(key) != first.info.get(key):
            problem = f"expected {first.info.get(key)!r} as in seed{first.seed}, got {run.info.get(key)!r}"
            raise InputError(name, problem, key=key)
    differing = factors(run.config, first.config, ignore=UNCOMPARED)
    if differing:
        key, got, expected = differing[0]
        raise InputError(name, f"expected {shown(expected)} as in seed{first.seed}, got {shown(got)}", key=key)
    if run.last_epoch != first.last_epoch:
        raise InputError(name, f"expected {first.last_epoch} epochs as in seed{first.seed}, got {run.last_epoch}")
    for metric in stable_metrics(first):
        series = run.series(metric)
        if not all(map(math.isfinite, series.values)) or len(series) != len(first.series(metric)):
            raise InputError(name, f"{metric} is not a finite number in every epoch")


def stable_metrics(run: Run) -> list[str]:
    """Metrics of the training itself, without those of the machine's speed."""
    return [metric for metric in run.metric_names if not metric.endswith(MACHINE)]


def _epochs(runs: Sequence[Run], metric: str) -> dict[int, tuple[float, ...]]:
    series = [run.series(metric) for run in runs]
    return {int(epoch): tuple(float(s.values[i]) for s in series) for i, epoch in enumerate(series[0].epochs)}


def _steps(run: Run) -> tuple[tuple[int, ...], tuple[float, ...]]:
    windows = run.windows[:WINDOWS]
    return tuple(w.last_step for w in windows), tuple(w.loss_mean for w in windows)


def _versions(run: Run) -> str:
    known = run.info.get("versions")
    return ", ".join(f"{name} {known[name]}" for name in sorted(known)) if isinstance(known, dict) else ""


# -- words -------------------------------------------------------------------------------------------------------------
def changes(old: Reference, new: Reference) -> list[str]:
    """What a new reference changes, most important first; a band that became wider is called loosened."""
    lines = []
    for key, got, expected in factors(new.config, old.config):
        lines.append(f"config {key}: {shown(expected)} -> {shown(got)}")
    if old.seeds != new.seeds:
        lines.append(f"seeds: {_list(old.seeds)} -> {_list(new.seeds)}")
    for metric in dict.fromkeys((*old.metrics, *new.metrics)):
        if metric not in new.metrics or metric not in old.metrics:
            lines.append(f"{metric}: {'removed, no longer judged' if metric in old.metrics else 'added'}")
            continue
        lines += _metric_changes(metric, old, new)
    return lines


def _metric_changes(metric: str, old: Reference, new: Reference) -> list[str]:
    before, after = old.metrics[metric], new.metrics[metric]
    shared = [epoch for epoch in before if epoch in after]
    if not shared:
        return [f"{metric}: no epoch in common"]
    last = shared[-1]
    a, b = (statistics.fmean(side[last]) for side in (before, after))
    wide = [statistics.fmean(spread(side[epoch]) for epoch in shared) for side in (before, after)]
    line = f"{metric}: at epoch {last} {a:.5g} -> {b:.5g}, mean spread {wide[0]:.2g} -> {wide[1]:.2g}"
    loosened = wide[1] > 1.2 * wide[0] or len(new.seeds) < len(old.seeds)
    return [line + (" LOOSENED" if loosened else "")] if a != b or wide[0] != wide[1] else []


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def target(root: Path, reference: Reference) -> Path:
    """Where it is to be written below the repository's root."""
    return place(root, reference.suite, reference.profile, reference.device)
