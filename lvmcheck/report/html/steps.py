"""Figures by optimizer step and of speed: loss, shares of its terms and of their gradients, norm, rate, throughput."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lvmcheck.report.html.curves import stage_marks, stop_marks
from lvmcheck.report.html.figures import Figure, Floats, PlotCurve, first_lost
from lvmcheck.report.html.report_run import ReportRun
from lvmcheck.report.html.text import name_text
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

TERMS = 12
"""Loss terms that are shown."""
WHOLE = (0.0, 1.0)
GRADIENTS = "term_grad_norm"
"""Name of the probe that measures the gradient norm of each loss term."""

Points = tuple[Floats, Floats]


def step_figures(runs: Sequence[ReportRun]) -> Iterator[Figure]:
    """Loss, gradient norm and learning rate by step, one figure each, where they are recorded."""
    yield from _overlaid(runs, "loss", "loss (mean of a window)", lambda run: _column(run, "loss_mean"))
    yield from _overlaid(
        runs, "grad", "gradient norm before clipping (mean of a window)", lambda run: _column(run, "grad_norm_mean")
    )
    yield from _overlaid(runs, "lr", "learning rate", lambda run: _column(run, "lr"))


def speed_figures(runs: Sequence[ReportRun]) -> Iterator[Figure]:
    """Samples a second by epoch, and by step from the windows."""
    yield from _overlaid(runs, "speed", "samples a second", _epoch_speed, x="epoch")
    yield from _overlaid(runs, "window-speed", "samples a second (mean of a window)", _window_speed)


def _overlaid(
    runs: Sequence[ReportRun], key: str, title: str, points: Callable[[Run], Points], x: str = "step"
) -> Iterator[Figure]:
    curves = []
    for index, item in enumerate(runs):
        at, values = points(item.run)
        if len(values):
            curves.append(PlotCurve(name=item.label, run=index, x=at, y=values))
    if curves:
        steps = x == "step"
        marks = (*stage_marks(runs, steps=steps), *stop_marks(runs, steps=steps), *first_lost(curves))
        yield Figure(key=key, title=title, x=x, curves=tuple(curves), marks=marks)


def _column(run: Run, name: str) -> Points:
    """One number of every window that states it, at its last step."""
    pairs = [(window.last_step, value) for window in run.windows if (value := getattr(window, name)) is not None]
    return _points(pairs)


def _epoch_speed(run: Run) -> Points:
    return _points([(it.epoch, it.samples_per_second) for it in run.of(ev.Epoch) if it.samples_per_second is not None])


def _window_speed(run: Run) -> Points:
    return _points([(it.last_step, it.samples / it.seconds) for it in run.windows if it.samples and it.seconds > 0])


def _points(pairs: Sequence[tuple[float, float]]) -> Points:
    array = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


# -- shares ------------------------------------------------------------------------------------------------------------
def share_figures(runs: Sequence[ReportRun]) -> Iterator[Figure]:
    """What each loss term holds of the loss, and of the gradient where that was measured."""
    yield from _shares(runs, "share", "share of the loss", loss_shares)
    yield from _shares(runs, "gradient-share", "share of the gradient norms", gradient_shares)


def _shares(
    runs: Sequence[ReportRun], key: str, title: str, measure: Callable[[Run], dict[str, Points]]
) -> Iterator[Figure]:
    """One run: all its terms in one figure. Several runs: a figure a term, the runs overlaid in their colours."""
    found = [measure(item.run) for item in runs]
    terms = list(dict.fromkeys(name for shares in found for name in shares))[:TERMS]
    if len(terms) < 2:
        return  # the only term holds all of it
    if len(runs) == 1:
        only = found[0]
        curves = tuple(PlotCurve(name=name_text(name), run=None, x=only[name][0], y=only[name][1]) for name in terms)
        yield Figure(key=key, title=f"{title} by term", x="step", curves=curves, marks=first_lost(curves), y=WHOLE)
        return
    for number, name in enumerate(terms):
        curves = tuple(
            PlotCurve(name=item.label, run=index, x=shares[name][0], y=shares[name][1])
            for index, (item, shares) in enumerate(zip(runs, found, strict=True))
            if name in shares
        )
        marks = first_lost(curves)
        yield Figure(
            key=f"{key}-{number}", title=f"{title}: {name_text(name)}", x="step", curves=curves, marks=marks, y=WHOLE
        )


def loss_shares(run: Run) -> dict[str, Points]:
    """Term -> (last step of each window, \\|weight * mean\\| over the sum of them all)."""
    rows = [
        (window.last_step, {name: abs(term.weight * term.mean) for name, term in window.terms.items()})
        for window in run.windows
        if window.terms
    ]
    return _parts(rows)


def gradient_shares(run: Run) -> dict[str, Points]:
    """Term -> (step of each probe, its gradient norm over the sum of the norms)."""
    return _parts([(probe.step, {k: abs(v) for k, v in probe.values.items()}) for probe in run.probes(GRADIENTS)])


def _parts(rows: Sequence[tuple[int, dict[str, float]]]) -> dict[str, Points]:
    names = list(dict.fromkeys(name for _, parts in rows for name in parts))[:TERMS]
    shares: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for step, parts in rows:
        total = math.fsum(parts.values()) if all(map(math.isfinite, parts.values())) else math.nan
        for name in names:
            if name in parts:
                shares[name].append((step, parts[name] / total if total else math.nan))
    return {name: _points(pairs) for name, pairs in shares.items()}


def only_term(runs: Sequence[ReportRun]) -> str | None:
    """The name of the single loss term that all runs declare, for whom shares say nothing."""
    names = {name for item in runs for window in item.run.windows for name in window.terms}
    return name_text(names.pop()) if len(names) == 1 else None
