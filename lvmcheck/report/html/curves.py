"""Metrics by epoch, all runs overlaid, with what was wanted of them: floors, baselines, reference bands, marks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lvmcheck.checks.shared.baselines import baselines
from lvmcheck.report.html.figures import Band, Curve, Figure, Level, Mark, first_lost
from lvmcheck.report.html.rows import Row
from lvmcheck.report.html.subject import Subject
from lvmcheck.report.html.text import clean, listed, shown, words
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from lvmcheck.statistics.reference_file import Reference

FIRST = (
    "val_cosine",
    "train_cosine",
    "exact_match",
    "val_loss",
    "train_loss",
    "ood_cosine",
    "val_bits_per_byte",
    "val_perplexity",
)
"""Metrics that are shown before all others, in this order."""
METRICS = 100
"""Metrics of one report."""
LEVELS = 12
"""Levels of one figure; more would only cover each other."""
NEAR = 0.01
"""Baselines of runs that differ by no more than this share a line: seeds draw their own training vectors."""
RATE = 0.05
"""Error rate of one epoch of the reference band that is drawn; what a check judges by is its own."""
_STOP = re.compile(r"stop below (-?\d+(?:\.\d+)?(?:e-?\d+)?)")


def metric_names(subjects: Sequence[Subject]) -> tuple[list[str], int]:
    """Metrics of all runs, those of :data:`FIRST` first, and how many more there are than are shown."""
    every = dict.fromkeys(name for subject in subjects for name in subject.run.metric_names)
    ordered = [name for name in FIRST if name in every] + [name for name in every if name not in FIRST]
    return ordered[:METRICS], max(0, len(ordered) - METRICS)


def metric_figures(subjects: Sequence[Subject], references: Mapping[str, Reference]) -> Iterator[Figure]:
    """One figure a metric.

    Args:
        references: by the name of the suite, where there is one.
    """
    stages, stops = stage_marks(subjects), stop_marks(subjects)
    for number, name in enumerate(metric_names(subjects)[0]):
        curves = tuple(
            Curve(name=it.label, run=index, x=series.epochs.astype(np.float64), y=series.values)
            for index, it in enumerate(subjects)
            if len(series := it.run.series(name))
        )
        levels = (*floor_levels(subjects, name), *baseline_levels(subjects, name))
        yield Figure(
            key=f"metric-{number}",
            title=words(name),
            x="epoch",
            curves=curves,
            levels=levels[:LEVELS],
            bands=tuple(reference_bands(references, name)),
            marks=(*stages, *stops, *first_lost(curves)),
        )


def floor_levels(subjects: Sequence[Subject], metric: str) -> Iterator[Level]:
    """Bounds that checks set on the metric, one a check: seeds may have bounds of their own, from their own data."""
    known: dict[tuple[str, str, str], list[tuple[float, int]]] = {}
    for subject in subjects:
        for row in subject.rows:
            for sort, kind, bound, epoch in _bounds(row, metric):
                known.setdefault((row.check, sort, kind), []).append((bound, epoch))
    for (_, sort, kind), bounds in known.items():
        values, epochs = [bound for bound, _ in bounds], sorted({epoch for _, epoch in bounds})
        at = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
        y = (min(values) + max(values)) / 2
        yield Level(label=f"{sort} {_range(values)} at {at}", kind=kind, y=y, x=float(epochs[0]))


def _bounds(row: Row, metric: str) -> Iterator[tuple[str, str, float, int]]:
    """Name, kind, bound and epoch of a check whose finding is in the metric's own unit.

    A finding names the metric in words, and a margin is the signed distance to the bound (negative is a miss).
    """
    if row.what not in (words(metric), f"{words(metric)} (best)") or row.epoch is None:
        return
    if not isinstance(row.measured, float) or row.margin is None:
        return
    rising, falling = row.wanted.startswith("at least"), row.wanted.startswith("at most")
    bound = row.measured - row.margin if rising else row.measured + row.margin
    if (rising or falling) and math.isfinite(bound):
        yield "floor" if rising else "ceiling", "floor", bound, row.epoch
    stop = _STOP.search(row.wanted)
    if stop is not None:
        yield "stop below", "abort", float(stop.group(1)), row.epoch


def _range(values: Sequence[float]) -> str:
    low, high = shown(min(values)), shown(max(values))
    return low if low == high else f"{low} to {high}"


def baseline_levels(subjects: Sequence[Subject], metric: str) -> Iterator[Level]:
    """What the data alone allow (constant mean ... optimum); runs on nearly the same data share a level."""
    if not (metric.endswith("cosine") or "_cosine_" in metric):
        return
    known: dict[str, list[tuple[float, str]]] = {}
    for subject in subjects:
        for name, value in baselines(subject.run, metric).items():
            known.setdefault(name, []).append((value, subject.label))
    for name, said in known.items():
        groups = _near(sorted(said))
        for group in groups:
            values = [value for value, _ in group]
            who = f" ({listed([label for _, label in group], 3)})" if len(groups) > 1 else ""
            y = (min(values) + max(values)) / 2
            yield Level(label=f"{words(name)} {_range(values)}{who}", kind="baseline", y=y)


def _near(said: Sequence[tuple[float, str]]) -> list[list[tuple[float, str]]]:
    """Ascending values in groups that are no wider than :data:`NEAR`."""
    groups: list[list[tuple[float, str]]] = []
    for value, label in said:
        if groups and value - groups[-1][0][0] <= NEAR:
            groups[-1].append((value, label))
        else:
            groups.append([(value, label)])
    return groups


def reference_bands(references: Mapping[str, Reference], metric: str) -> Iterator[Band]:
    """The interval in which one new run of the reference's kind lies at an epoch (Student's t, :data:`RATE`)."""
    from lvmcheck.statistics.band import Band as Interval

    for suite, reference in references.items():
        rows = reference.metrics.get(metric)
        if not rows or len(reference.seeds) < 2:
            continue
        epochs = np.array(sorted(rows), dtype=np.int64)
        values = np.array([rows[epoch] for epoch in epochs.tolist()], dtype=np.float64).T
        band = Interval(metric, epochs, values)
        half = band.half_width(RATE)
        label = f"reference of {clean(suite, 60)}: {len(reference.seeds)} seeds, {1 - RATE:.0%} of new runs at an epoch"
        yield Band(label=label, x=epochs.astype(np.float64), low=band.mean - half, high=band.mean + half)


# -- marks -------------------------------------------------------------------------------------------------------------
def stage_marks(subjects: Sequence[Subject], *, steps: bool = False) -> tuple[Mark, ...]:
    """Where a stage of the curriculum begins; a run with one stage has none to tell apart."""
    found: dict[tuple[str, float], list[str]] = {}
    for subject in subjects:
        stages = subject.run.of(ev.Stage)
        for stage in stages if len(stages) > 1 else ():
            x = float(stage.step) if steps else stage.epoch - 0.5
            found.setdefault((clean(stage.name, 60), x), []).append(subject.label)
    everybody = len(subjects)
    return tuple(
        Mark(label=f"stage {name}" + ("" if len(who) == everybody else f" ({listed(who)})"), kind="stage", x=x)
        for (name, x), who in found.items()
    )


def stop_marks(subjects: Sequence[Subject], *, steps: bool = False) -> tuple[Mark, ...]:
    """Where a run ended before its planned end, and by what."""
    found: dict[tuple[str, str, float], list[str]] = {}
    for subject in subjects:
        run = subject.run
        if not (run.over and not run.finished):
            continue
        aborted = any(row.abort for row in subject.rows) or run.death is not None
        reason = run.death or (run.done or {}).get("reason") or (run.done or {}).get("status") or "no reason given"
        x = float(run.step) if steps else ended_at(run)
        key = (clean(reason, 120), "abort" if aborted else "stop", x)
        found.setdefault(key, []).append(subject.label)
    return tuple(
        Mark(label=f"{listed(who)} stopped by {reason}", kind=kind, x=x) for (reason, kind, x), who in found.items()
    )


def ended_at(run: Run) -> float:
    """The epoch, as a fraction where it ended inside one whose length in steps is known."""
    ends = run.of(ev.Epoch)
    if not ends or not ends[-1].step or not ends[-1].epoch:
        return float(run.last_epoch)
    length = ends[-1].step / ends[-1].epoch
    return run.last_epoch + min(1.0, max(0, run.step - ends[-1].step) / length)
