"""Metrics by epoch, all runs overlaid, with what is required of them: floors, baselines, reference bands, marks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lvmcheck.checks.bounds import Bound, BoundKind
from lvmcheck.checks.finding import Verdict
from lvmcheck.checks.shared.baselines import baselines
from lvmcheck.report.html.figures import Figure, Level, Mark, PlotCurve, Region, first_lost
from lvmcheck.report.html.report_run import ReportRun
from lvmcheck.report.html.text import listed, name_text, shown
from lvmcheck.run import events as ev
from lvmcheck.run.main_metrics import main_first
from lvmcheck.run.view import Run
from lvmcheck.statistics.reference_file import Reference
from lvmcheck.text.fit import clean

METRICS = 100
"""Metrics of one report."""
LEVELS = 12
"""Levels of one figure; more would only cover each other."""
NEAR = 0.01
"""Baselines of runs that differ by no more than this share a line: seeds draw their own training vectors."""
RATE = 0.05
"""Error rate of one epoch of the reference band that is drawn; what a check judges by is its own."""
LINES = {BoundKind.FLOOR: "floor", BoundKind.CEILING: "ceiling", BoundKind.ABORT: "abort"}
"""Bounds that are drawn, with how the page shows them."""


def metric_names(runs: Sequence[ReportRun]) -> tuple[list[str], int]:
    """Metrics of all runs, the main ones first, and how many more there are than are shown."""
    ordered = main_first(name for item in runs for name in item.run.metric_names)
    return ordered[:METRICS], max(0, len(ordered) - METRICS)


def metric_figures(runs: Sequence[ReportRun], references: Mapping[str, Reference]) -> Iterator[Figure]:
    """One figure a metric.

    Args:
        references: by the name of the suite, where there is one.
    """
    stages, stops = stage_marks(runs), stop_marks(runs)
    for number, name in enumerate(metric_names(runs)[0]):
        curves = tuple(
            PlotCurve(name=it.label, run=index, x=series.epochs.astype(np.float64), y=series.values)
            for index, it in enumerate(runs)
            if len(series := it.run.series(name))
        )
        levels = (*floor_levels(runs, name), *baseline_levels(runs, name))
        yield Figure(
            key=f"metric-{number}",
            title=name_text(name),
            x="epoch",
            curves=curves,
            levels=levels[:LEVELS],
            bands=tuple(reference_bands(references, name)),
            marks=(*stages, *stops, *first_lost(curves)),
        )


def floor_levels(runs: Sequence[ReportRun], metric: str) -> Iterator[Level]:
    """Bounds that checks set on the metric, one a check: seeds may have bounds of their own, from their own data."""
    known: dict[tuple[str, BoundKind], list[tuple[float, int]]] = {}
    for item in runs:
        for verdict in item.verdicts:
            for bound, epoch in _bounds(verdict, metric):
                if isinstance(bound.value, int | float):
                    known.setdefault((verdict.name, bound.kind), []).append((float(bound.value), epoch))
    for (_, kind), bounds in known.items():
        values, epochs = [bound for bound, _ in bounds], sorted({epoch for _, epoch in bounds})
        at = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
        y = (min(values) + max(values)) / 2
        yield Level(label=f"{LINES[kind]} {_range(values)} at {at}", kind=LINES[kind], y=y, x=float(epochs[0]))


def _bounds(verdict: Verdict, metric: str) -> Iterator[tuple[Bound, int]]:
    """Bounds with their epoch that a suite sets on the metric; what no suite asks for is not drawn."""
    finding = verdict.finding
    if verdict.asked is None or finding is None or finding.metric != metric or finding.epoch is None:
        return
    yield from ((bound, finding.epoch) for bound in finding.bounds if bound.kind in LINES)


def _range(values: Sequence[float]) -> str:
    low, high = shown(min(values)), shown(max(values))
    return low if low == high else f"{low} to {high}"


def baseline_levels(runs: Sequence[ReportRun], metric: str) -> Iterator[Level]:
    """What the data alone allow (constant mean ... optimum); runs on nearly the same data share a level."""
    if not (metric.endswith("cosine") or "_cosine_" in metric):
        return
    known: dict[str, list[tuple[float, str]]] = {}
    for item in runs:
        for name, value in baselines(item.run, metric).items():
            known.setdefault(name, []).append((value, item.label))
    for name, pairs in known.items():
        groups = _near(sorted(pairs))
        for group in groups:
            values = [value for value, _ in group]
            who = f" ({listed([label for _, label in group], 3)})" if len(groups) > 1 else ""
            y = (min(values) + max(values)) / 2
            yield Level(label=f"{name_text(name)} {_range(values)}{who}", kind="baseline", y=y)


def _near(pairs: Sequence[tuple[float, str]]) -> list[list[tuple[float, str]]]:
    """Ascending values in groups that are no wider than :data:`NEAR`."""
    groups: list[list[tuple[float, str]]] = []
    for value, label in pairs:
        if groups and value - groups[-1][0][0] <= NEAR:
            groups[-1].append((value, label))
        else:
            groups.append([(value, label)])
    return groups


def reference_bands(references: Mapping[str, Reference], metric: str) -> Iterator[Region]:
    """The interval in which one new run of the reference's kind lies at an epoch (Student's t, :data:`RATE`)."""
    from lvmcheck.statistics.band import Band

    for suite, reference in references.items():
        rows = reference.metrics.get(metric)
        if not rows or len(reference.seeds) < 2:
            continue
        epochs = np.array(sorted(rows), dtype=np.int64)
        values = np.array([rows[epoch] for epoch in epochs.tolist()], dtype=np.float64).T
        band = Band(metric, epochs, values)
        half = band.half_width(RATE)
        label = f"reference of {clean(suite, 60)}: {len(reference.seeds)} seeds, {1 - RATE:.0%} of new runs at an epoch"
        yield Region(label=label, x=epochs.astype(np.float64), low=band.mean - half, high=band.mean + half)


# -- marks -------------------------------------------------------------------------------------------------------------
def stage_marks(runs: Sequence[ReportRun], *, steps: bool = False) -> tuple[Mark, ...]:
    """Where a stage of the curriculum begins; a run with one stage has none to tell apart."""
    found: dict[tuple[str, float], list[str]] = {}
    for item in runs:
        stages = item.run.of(ev.Stage)
        for stage in stages if len(stages) > 1 else ():
            x = float(stage.step) if steps else stage.epoch - 0.5
            found.setdefault((clean(stage.name, 60), x), []).append(item.label)
    everybody = len(runs)
    return tuple(
        Mark(label=f"stage {name}" + ("" if len(who) == everybody else f" ({listed(who)})"), kind="stage", x=x)
        for (name, x), who in found.items()
    )


def stop_marks(runs: Sequence[ReportRun], *, steps: bool = False) -> tuple[Mark, ...]:
    """Where a run ended before its planned end, and by what."""
    found: dict[tuple[str, str, float], list[str]] = {}
    for item in runs:
        run = item.run
        if not (run.over and not run.finished):
            continue
        aborted = any(verdict.outcome.abort for verdict in item.verdicts) or run.death is not None
        reason = run.death or (run.done or {}).get("reason") or (run.done or {}).get("status") or "no reason given"
        x = float(run.step) if steps else ended_at(run)
        key = (clean(reason, 120), "abort" if aborted else "stop", x)
        found.setdefault(key, []).append(item.label)
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
