"""plausible_range: no metric has a value that it cannot have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.bounds import ceiling, floor
from lvmcheck.checks.finding import Finding, Outcome, failed, not_applicable, passed
from lvmcheck.checks.protocol import Check, missing_metric
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete, not_at_end
from lvmcheck.errors import BadValueError
from lvmcheck.run import events as ev
from lvmcheck.run.curves import Curve
from lvmcheck.run.role_names import Quantity
from lvmcheck.run.roles import by_name
from lvmcheck.run.view import Run, run_from

SURE = (Quantity.COSINE, Quantity.PERPLEXITY, Quantity.GRAD_NORM, Quantity.ACCURACY)
"""Quantities whose name is taken for a definition; of others only a declared range counts."""
LEAST, GROWN, PERCENT = 3, 1.5, 100.001
"""Values of the accuracy that stays a share, the one that the other grows beyond, and the most of a percentage."""
SLACK = 1e-5
"""Rounding beyond a bound that is no violation, relative to the bound."""


@dataclass(frozen=True, kw_only=True)
class PlausibleRange(Check):
    """Every epoch's value of `metric` is within `at_least` and `at_most`; without a metric, what its definition allows.

    Known by its role: cosines lie in [-1, 1]; accuracies in [0, 1] or in percent; perplexity is at least 1; gradient
    norms and bits per byte are not negative; a declared role may state any range. The mean of halting steps lies
    between 1 and the number of steps that the model has, their variance below a quarter of that range squared.

    Why:
    A number that cannot be was not measured. The original project's final log gave an average of 7.5 halting steps for
    a model that has at most 4, a memory use of .45 and an inference time of 85 ms: literals in the trainer, which
    reports then analysed as measurements.

    Usual causes:
    - A placeholder or an example value in the logging code.
    - A sum where a mean is meant, a percentage where a share is meant.
    - A metric computed over no items, with a default for that case.
    - Units that differ between two parts of the code (steps counted from 0 and from 1).

    Fix:
    Search the code for the literal; log nothing where nothing was measured.

    Healthy runs that must pass:
    Rounding beyond a bound (a cosine of 1.0000001); metrics of which nothing is known.

    Source:
    history 13 and C 64 of the original project (halting 7.5 with a maximum of 4).
    """

    universal = True
    exempt: ClassVar[Mapping[str, str]] = {
        "planned_end": "without a metric it judges a run as far as it went",
        "missing_end": "what is not recorded has no range",
        "nan": "without a metric the check finite judges what is not finite",
    }

    metric: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if self.metric is None and (self.at_least is not None or self.at_most is not None):
            raise BadValueError("metric", "expected the name of the metric that is bounded, got none")
        if self.metric is not None and self.at_least is None and self.at_most is None:
            raise BadValueError("at_least", "expected at_least, at_most or both, got neither")
        for key, bound in (("at_least", self.at_least), ("at_most", self.at_most)):
            if bound is not None:
                check_number(key, bound, -math.inf)

    def detail(self) -> str:
        return self.metric or ""

    def judge(self, run: Run) -> Outcome:
        if self.metric is not None and (absent := missing_metric(run, self.metric)) is not None:
            return absent
        other = _on_another_scale(run) if self.metric is None else None
        if other is not None:
            return failed(other, evaluated=1)
        bounds = self._bounds(run)
        nearest: Finding | None = None
        looked = 0
        for event in run.of(ev.Epoch):
            for name, (low, high) in bounds.items():
                if name not in event.metrics:
                    continue
                looked += 1
                if self.metric is None and not math.isfinite(event.metrics[name]):
                    continue  # the check finite judges it
                finding = _finding(name, event.metrics[name], low, high, event.epoch, own=self.metric is not None)
                if not (finding.margin or 0.0) >= 0.0:
                    return failed(finding, evaluated=looked)
                if nearest is None or (finding.margin or 0.0) < (nearest.margin or 0.0):
                    nearest = finding
        if not (run.over if self.metric is None else complete(run)):
            return awaiting(run, "the metrics of every epoch", evaluated=looked)
        cut = not_at_end(run, run.series(self.metric)) if self.metric is not None else None
        if cut is not None:
            return cut
        if nearest is None:
            return not_applicable("nothing is known about the range of any recorded metric")
        return passed(nearest, evaluated=looked)

    def _bounds(self, run: Run) -> dict[str, tuple[float, float]]:
        """Metric -> lowest and highest value, of the metrics that are judged."""
        if self.metric is not None:
            low = -math.inf if self.at_least is None else self.at_least
            return {self.metric: (low, math.inf if self.at_most is None else self.at_most)}
        known = {name: by_definition(name, run) for name in run.metric_names}
        return {name: bounds for name, bounds in known.items() if bounds is not None}


def _on_another_scale(run: Run) -> Finding | None:
    """An accuracy that grows from a share to more than 1, or is above 100, beside one of the other split in [0, 1]."""
    known = [curve for curve in run.curves.of(Quantity.ACCURACY, Quantity.SCORE) if _named_accuracy(curve)]
    shares = {
        curve.role.split
        for curve in known
        if len(curve) >= LEAST and 0 <= curve.values.min() <= curve.values.max() <= 1
    }
    for curve in known:
        largest = float(curve.values.max())
        grown = float(curve.values[0]) <= 1 < GROWN < largest or largest > PERCENT
        if grown and shares - {curve.role.split}:
            at = int((curve.values > 1).argmax())
            return _finding(curve.name, float(curve.values[at]), 0.0, 1.0, curve.place(at)[0] or 1, own=False)
    return None


def _named_accuracy(curve: Curve) -> bool:
    return not curve.role.declared and by_name(curve.name).quantity is Quantity.ACCURACY


def by_definition(name: str, run: Run) -> tuple[float, float] | None:
    """The values that a metric can have by its role, or None where nothing is known."""
    if name == "halting_mean":
        return 1.0, _steps(run)
    if name == "halting_variance":
        return 0.0, max(0.25, (_steps(run) - 1) ** 2 / 2)  # a quarter in the limit, a half over two tokens
    role = run.curves.roles[name]
    if not role.declared and role.quantity not in SURE:
        return None
    known = role.low > -math.inf or role.high < math.inf
    return (role.low, role.high) if known else None


def _steps(run: Run) -> float:
    """The most steps that the model can take, where it is known."""
    model = run.config.get("model")
    said = model.get("recursion_steps") if isinstance(model, Mapping) else None
    if isinstance(said, int) and not isinstance(said, bool):
        return float(said)
    probes = run.probes("halting")
    return probes[0].values.get("max", math.inf) if probes else math.inf


def _finding(name: str, value: float, low: float, high: float, epoch: int, *, own: bool) -> Finding:
    slack = SLACK * max((abs(bound) for bound in (low, high) if math.isfinite(bound)), default=0.0)
    source = "" if own else "its definition"
    bounds = [floor(low - slack, source)] if low > -math.inf else []
    bounds += [ceiling(high + slack, source)] if high < math.inf else []
    impossible = not low - slack <= value <= high + slack
    return Finding(
        code=("out_of_bounds" if own else "impossible") if impossible else "in_bounds" if own else "possible",
        metric=name,
        measured=value,
        bounds=tuple(bounds),
        epoch=epoch,
    )


def _halting(mean: float, **config: object) -> Run:
    metrics = {"halting_mean": [2.1, mean], "halting_variance": [0.4, 0.3]}
    probe = [ev.Probe(name="halting", epoch=1, step=100, values={"max": 4.0})]
    return language.epochs(probe, [], metrics=metrics, config=config)


_case = made.Cases(PlausibleRange())
PASSES = (
    _case("one_of_two_in_percent", {"train_acc": [0.48, 0.87, 0.98, 0.99], "val_acc": [41.0, 80.0, 93.0, 94.0]}),
    _case("perfect_oracle", {"val_cosine": [0.9, 1.0000001], "exact_match": [0.5, 1.0]}),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL)),
    _case("all_steps", _halting(4.0)),
    made.case(
        "own_bounds", PlausibleRange(metric="loss", at_least=0.0, at_most=11.0), run_from({"loss": [10.8, 3.0, 0.0]})
    ),
)
FAILS = (
    _case(
        "counter_that_is_not_reset",
        {"train_acc": [0.48, 0.87, 0.98, 0.99], "val_acc": [0.91, 1.86, 2.8, 23.9]},
        "impossible",
        1.86,
        epoch=2,
    ),
    _case(
        "divided_by_the_number_of_batches",
        {"train_acc": [0.38, 0.78, 0.88, 0.94], "val_acc": [115.3, 145.7, 152.3, 154.7]},
        "impossible",
        115.3,
    ),
    _case("halting_7.5_of_4", _halting(7.5), "impossible", 7.5, epoch=2),
    _case("halting_beyond_the_configured_steps", _halting(3.5, model={"recursion_steps": 3})),
    _case("cosine_of_a_sum", {"val_cosine": [0.1, 1.2]}, measured=1.2),
    _case("perplexity_below_1", {"val_perplexity": [0.4]}),
    made.case("nan", PlausibleRange(metric="v", at_least=0.0), run_from({"v": [0.3, math.nan]}), measured=math.nan),
    made.case("own_bound", PlausibleRange(metric="loss", at_least=0.5), run_from({"loss": [10.8, 0.1]}), measured=0.1),
)
