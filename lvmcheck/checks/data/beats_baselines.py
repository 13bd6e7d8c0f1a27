"""beats_baselines: the model is better than predictors that learn nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Finding, Outcome, compared, not_recorded
from lvmcheck.checks.protocol import Check, missing_metric
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.baselines import TRIVIAL, baselines, evidence
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete, not_at_end
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class BeatsBaselines(Check):
    """At the end the metric is at least `margin` above the best trivial predictor of the same data.

    Trivial predictors: the constant mean of the targets, the last chunk (persistence), the mean of the context. With
    `linear_margin` the metric must also be at least that far above the best linear predictor (negative: at most that
    far below); without it the distance is only reported.

    Why:
    Absolute floors can be met by a model that is worse than an average of its inputs: on small data an AMN reaches
    0.575, passes the floor 0.55, and the mean of its own context scores 0.600. InfoNCE-only models of the original
    project (0.25 to 0.35) scored below a constant (0.42), which was not among the figures reported.

    Usual causes:
    - Too little data or too few epochs; at a constant learning rate the loss settles at the level of gradient noise.
    - The loss ignores what the baselines exploit, such as the common mean direction of all targets.
    - The order of the rows is destroyed, so that context helps little and only averages remain.
    - The residual is not small at the start, and most of the run is spent on shrinking it.

    Fix:
    Train longer with a decaying learning rate, or on more windows; start the last layer at zero. If the best linear
    predictor itself is hardly above the mean of context, there is little to learn in this data: check its order.

    Healthy runs that must pass:
    A perfect predictor; a model on a scrambled corpus that still beats its (low) baselines; margins of exactly zero.

    Source:
    docs/history.md (mean of context 0.5462 on 80k, AMN 0.5657); experiments on the synthetic twin.
    """

    show_when_passed: ClassVar[bool] = True

    metric: str = "val_cosine"
    margin: float = 0.0
    linear_margin: float | None = None

    def __post_init__(self) -> None:
        check_number("margin", self.margin, -2.0, 2.0)
        if self.linear_margin is not None:
            check_number("linear_margin", self.linear_margin, -2.0, 2.0)

    def detail(self) -> str:
        return self.metric

    def judge(self, run: Run) -> Outcome:
        absent = missing_metric(run, self.metric)
        if absent is not None:
            return absent
        if not complete(run):
            return awaiting(run, f"{self.metric} at the end")
        series = run.series(self.metric)
        cut = not_at_end(run, series)
        if cut is not None:
            return cut
        known = baselines(run, self.metric)
        needed = (*TRIVIAL, "best_linear") if self.linear_margin is not None else TRIVIAL
        lacking = [name for name in needed if name not in known]
        if lacking:
            return not_recorded(f"baselines of the data of {self.metric} are not recorded: {', '.join(lacking)}")
        return self._compare(run, float(series.values[-1]), known)

    def _compare(self, run: Run, value: float, known: dict[str, float]) -> Outcome:
        best = max(TRIVIAL, key=known.__getitem__)
        code, name, margin = "trivial", best, self.margin
        if self.linear_margin is not None and known["best_linear"] + self.linear_margin > known[best] + margin:
            code, name, margin = "linear", "best_linear", self.linear_margin
        finding = Finding(
            code=code,
            metric=self.metric,
            measured=value,
            bounds=(floor(known[name] + margin, _source(name, margin)),),
            epoch=run.last_epoch,
            evidence=evidence(run, self.metric),
        )
        return compared(finding, evaluated=len(TRIVIAL) + (self.linear_margin is not None))


def _source(name: str, margin: float) -> str:
    return f"{name} {'-' if margin < 0 else '+'} {abs(margin):g}" if margin else name


_case = made.Cases(BeatsBaselines())
_80K: dict[str, float] = {"constant_mean": 0.4218, "persistence": 0.4383, "mean_of_context": 0.5462}
_WIKITEXT = {"constant_mean": 0.211, "persistence": 0.454, "mean_of_context": 0.5425, "best_linear": 0.561}

PASSES = (
    _case("perfect_oracle", made.val_run([1.0], facts=made.TWIN_FACTS), optimum=0.641),
    _case("amn_80k", made.val_run([0.5167, 0.5657], facts=_80K), "trivial", 0.5657),
    _case(
        "scrambled_corpus",
        made.val_run(
            made.AMN_790K_3_VAL, facts={"constant_mean": 0.42, "persistence": 0.336, "mean_of_context": 0.426}
        ),
    ),
    made.case("near_the_linear_optimum", BeatsBaselines(linear_margin=-0.02), made.val_run([0.55], facts=_WIKITEXT)),
)
FAILS = (
    _case(
        "passes_0.55_but_worse_than_an_average",
        made.val_run([0.523, 0.575], facts=made.TWIN_FACTS),
        "trivial",
        0.575,
        mean_of_context=0.6,
        optimum=0.641,
    ),
    _case("infonce_below_the_constant", made.val_run([0.234, 0.3163], facts=_80K), constant_mean=0.4218),
    made.case(
        "below_the_linear_predictor",
        BeatsBaselines(linear_margin=0.0),
        made.val_run([0.5440], facts=_WIKITEXT),
        "linear",
    ),
    _case("nan", made.val_run([0.6, float("nan")], facts=_80K), measured=float("nan")),
)
