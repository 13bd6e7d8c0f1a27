"""beats_constant: the model is better than a constant vector, and no contrastive term takes that away."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.curves._curves import number, unfinished
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, passed, warning
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import awaiting
from lvmcheck.checks.shared.laws import AS_RECORDED
from lvmcheck.checks.shared.shares import PROBE
from lvmcheck.run import events as ev
from lvmcheck.run.role_names import words
from lvmcheck.run.view import Run, run_from

METRIC = "val_cosine"
CONTRASTIVE = frozenset(words("infonce nce ntxent contrastive simclr triplet")) | {"info"}
"""Words of loss terms that do not change when the same vector is added to all targets."""
KEPT = 0.8
"""Share of the targets' cosine with their mean direction below which predictions have lost it."""
DIRECTIONS = frozenset({"val_mean_direction", "val_target_mean_direction"})
LOST = (
    "{metric} {measured}: {term} has {gradient_ratio} the gradient norm of {next}, and predictions lost the mean "
    "direction of the targets"
)
UNKNOWN = "a gradient norm of a loss term or a cosine with the mean direction is not finite"
FEW = 3
"""Epochs before which a model may only have begun: a GRU that ends at .59 begins at .35, below a constant."""


@dataclass(frozen=True, kw_only=True)
class BeatsConstant(Check):
    """The validation cosine ends above that of the best constant vector (fact constant_mean of the data).

    Judged at the end, on the best epoch; fewer than 3 epochs warn. A run is failed, and stopped, after any epoch in
    which three things are measured together: the cosine is below the constant, a contrastive loss term has more
    gradient than every other term (probe "term_grad_norm", median of the later half of the epoch), and the cosine of
    predictions with the mean direction of the targets (val_mean_direction) is below 0.8 of the targets' own
    (val_target_mean_direction).

    Why:
    A model that is worse than one vector for every input has learned less than nothing. InfoNCE does not change when
    the same vector is added to all targets, so where it leads it removes the direction that all targets share, which
    is most of their cosine. At a weight of 0.02 beside an MSE of weight 1 its gradient is 8 to 19 times that of the
    MSE, and the validation cosine falls from .55 to .32.

    Usual causes:
    - A contrastive term beside a regression: weights are not shares of the gradient.
    - Too little training, or a learning rate that destroyed the model in its first steps.
    - Contexts and targets that do not belong together.

    Fix:
    Train the regression alone, see that it beats the constant, and add the contrastive term at a hundredth of its
    gradient.

    Healthy runs that must pass:
    A model that begins below the constant and ends above it; a small contrastive term; data without a mean direction.

    Source:
    docs/history.md (runs of October 13 to 16, and attempt 2). Severity: fails at the end, since a constant is no model.
    """

    universal = True
    exempt = AS_RECORDED

    def judge(self, run: Run) -> Outcome:
        constant = number(run, "constant_mean")
        series = run.series(METRIC)
        values = series.values.tolist()
        if constant is None or not values:
            lacking = f"fact constant_mean of the data, or metric {METRIC}"
            return not_recorded(f"not recorded: {lacking}") if run.over else awaiting(run, lacking)
        for epoch, value in zip(series.epochs, values, strict=True):
            lost = _lost(run, int(epoch), value, constant)
            if lost is not None:
                return failed(lost, evaluated=len(values), abort=True)
        waiting = unfinished(run)
        if waiting is not None:
            return waiting
        if not all(map(math.isfinite, values)):
            at = next(i for i, value in enumerate(values) if not math.isfinite(value))
            return failed(_finding("not_finite", values[at], constant, int(series.epochs[at])), evaluated=len(values))
        best = max(range(len(values)), key=values.__getitem__)
        above = values[best] >= constant
        code = "above_constant" if above else "below_constant"
        found = _finding(code, values[best], constant, int(series.epochs[best]))
        if above:
            return passed(found, evaluated=len(values))
        return (failed if len(values) >= FEW else warning)(found, evaluated=len(values))


def _finding(code: str, value: float, constant: float, epoch: int, *more: Fact, phrase: str = "") -> Finding:
    return Finding(
        code=code,
        metric=METRIC,
        measured=value,
        bounds=(floor(constant, "constant_mean"),),
        epoch=epoch,
        evidence=(Fact("constant_mean", constant), *more),
        phrase=phrase,
    )


def gradients(run: Run, epoch: int) -> dict[str, float]:
    """Median gradient norm of each weighted loss term over the later half of an epoch's probes; {} without probes.

    At initialisation no term leads yet.
    """
    probes = [probe.values for probe in run.probes(PROBE) if probe.epoch == epoch]
    probes = probes[len(probes) // 2 :]
    names = dict.fromkeys(name for values in probes for name in values)
    return {name: statistics.median(values.get(name, 0.0) for values in probes) for name in names}


def leading_contrastive(norms: Mapping[str, float]) -> tuple[str, str, float] | None:
    """A contrastive term with more gradient than every other, the next one, and the ratio of both."""
    if len(norms) < 2:
        return None
    first, second = sorted(norms, key=norms.__getitem__, reverse=True)[:2]
    if not CONTRASTIVE & set(words(first)) or not norms[first] > norms[second] > 0:
        return None
    return first, second, norms[first] / norms[second]


def _lost(run: Run, epoch: int, value: float, constant: float) -> Finding | None:
    """The finding where a contrastive term leads and the direction that all targets share is gone."""
    of_epoch = next((event.metrics for event in run.of(ev.Epoch) if event.epoch == epoch), {})
    norms = gradients(run, epoch)
    if not value < constant or not norms or not of_epoch.keys() >= DIRECTIONS:
        return None
    got, of_targets = of_epoch["val_mean_direction"], of_epoch["val_target_mean_direction"]
    if not all(map(math.isfinite, (got, of_targets, *norms.values()))):
        return _finding("not_finite", math.nan, constant, epoch, phrase=UNKNOWN)
    leading = leading_contrastive(norms)
    if leading is None or got >= KEPT * of_targets:
        return None
    term, following, ratio = leading
    return _finding(
        "mean_direction_lost",
        value,
        constant,
        epoch,
        Fact("mean_direction", got),
        Fact("target_mean_direction", of_targets),
        Fact("term", term),
        Fact("next", following),
        Fact("gradient_ratio", ratio, "x"),
        phrase=LOST,
    )


def _run(
    cosine: Sequence[float],
    *,
    ratio: float | None = None,
    direction: float = 0.6,
    constant: float | None = 0.48,
    terms: Mapping[str, float] | None = None,
    over: bool = True,
) -> Run:
    metrics = {
        METRIC: list(cosine),
        "val_mean_direction": [direction] * len(cosine),
        "val_target_mean_direction": [0.49] * len(cosine),
    }
    run = run_from(metrics, config={"epochs": len(cosine)})
    events: list[ev.Event] = []
    for event in run.events:
        if isinstance(event, ev.Epoch) and (ratio is not None or terms):
            norms = dict(terms or {"mse": 0.06, "info_nce": 0.06 * (ratio or 0.0)})
            events.append(ev.Probe(name=PROBE, epoch=event.epoch, step=event.step, values=norms))
        events.append(event)
    facts = {} if constant is None else {"constant_mean": constant}
    changed = Run(events=tuple(events), info=run.info, done=run.done if over else None)
    return made.with_facts(changed, facts)


_case = made.Cases(BeatsConstant())
PASSES = (
    _case("perfect_oracle", _run([1.0] * 4), "above_constant", 1.0),
    _case("begins_below", _run([0.35, 0.47, 0.55, 0.59])),
    _case("small_contrastive_term", _run([0.45, 0.53, 0.56], ratio=0.2)),
    _case("contrastive_that_keeps_the_direction", _run([0.47, 0.53, 0.56], ratio=9.0)),
    _case("other_term_leads", _run([0.4, 0.53, 0.56], direction=0.1, terms={"mse": 0.1, "cosine": 0.9})),
    _case("no_mean_direction", _run([0.2, 0.3, 0.4], ratio=30.0, direction=0.01, constant=0.02)),
)
FAILS = (
    _case(
        "info_nce_at_a_weight_of_0.02",
        _run([0.2875], ratio=9.3, direction=0.1193, over=False),
        "mean_direction_lost",
        0.2875,
        term="info_nce",
        next="mse",
        gradient_ratio=9.3,
    ),
    _case("at_0.002", _run([0.3507], ratio=4.7, direction=0.3314), "mean_direction_lost"),
    _case("ends_below", _run([0.2, 0.3, 0.41, 0.4]), "below_constant", 0.41),
    _case("nan", _run([0.2, math.nan, 0.6]), "not_finite", math.nan),
)
