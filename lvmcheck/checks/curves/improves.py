"""improves: no flat progression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_recorded, passed
from lvmcheck.checks.protocol import Check, missing_metric
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.baselines import baselines, evidence
from lvmcheck.checks.shared.epochs import awaiting, check_count, check_number, not_finite
from lvmcheck.run.view import Run

NEAR = 0.005
"""This close to the ceiling a run has nothing left to gain that differs from noise."""


@dataclass(frozen=True, kw_only=True)
class Improves(Check):
    """The metric (higher is better) gains at least `min_gain` over its first epoch, in some epoch up to `by_epoch`.

    A run that reaches its ceiling passes as well: within 0.005 of 1, or of the optimum of the data, or of the best
    linear predictor where the optimum is not known.

    Why:
    A curve that is flat from its first epoch has found a degenerate solution. The default gain, 0.005, is five times
    the spread of two repeats at the end (0.0014 measured) and twice their largest difference at any epoch (0.0023), so
    seeds cannot produce it. It separates runs that were stuck from the start (gains of 0 to 0.003: InfoNCE with a
    little MSE) from all healthy ones (0.0094 for AMN on 584k, 0.1 and more for GRU and transformer). It does not tell
    a scrambled corpus from a good one: attempt 1 gained 0.0086 by epoch 5. That is the work of relative floors.

    Usual causes:
    - The loss does not reward the metric: one term dominates, and it is blind to the direction that is measured.
    - The learning rate is 0 or tiny: warm-up longer than the run, a schedule stepped per batch instead of per epoch.
    - The optimizer does not hold the parameters that matter, or they are frozen.
    - The model starts from a checkpoint that is already at its best.

    Fix:
    Look at train cosine: if it rises while the validation cosine does not, the model memorises. If both are flat,
    print the gradient norm of each loss term and the learning rate that each step used.

    Healthy runs that must pass:
    A perfect predictor; a model that starts at the ceiling of its data; a plateau before `by_epoch` and then a drop
    of the loss (raise `by_epoch`).

    Source:
    amn_790k_complete_diagnosis, "no flat progression by epoch 5"; repeat-run spread from the recorded histories.
    """

    exempt: ClassVar[Mapping[str, str]] = {"nan": "a baseline that is not finite counts as not recorded"}

    metric: str = "val_cosine"
    by_epoch: int = 5
    min_gain: float = 0.005

    def __post_init__(self) -> None:
        check_count("by_epoch", self.by_epoch, low=2)
        check_number("min_gain", self.min_gain, 1e-9, 2.0)

    def detail(self) -> str:
        return f"{self.metric}@{self.by_epoch}"

    def due(self, epochs: int) -> int:
        return min(self.by_epoch, epochs)

    def judge(self, run: Run) -> Outcome:
        absent = missing_metric(run, self.metric)
        if absent is not None:
            return absent
        series = run.series(self.metric)
        asked = [(int(e), float(v)) for e, v in zip(series.epochs, series.values, strict=True) if e <= self.by_epoch]
        if not asked:
            if run.last_epoch >= self.by_epoch:
                return not_recorded(f"{self.metric} is not recorded in the first {self.by_epoch} epochs")
            return awaiting(run, self.metric)
        first = asked[0][1]
        bound = min(first + self.min_gain, self._ceiling(run) - NEAR)
        hit = next((i for i, (_, value) in enumerate(asked) if i > 0 and value >= bound), len(asked))
        broken = not_finite(series, until=min(hit, len(asked)))
        if broken is not None:
            return broken
        if hit < len(asked):
            return passed(self._finding(run, asked, hit, bound), evaluated=hit)
        if run.last_epoch < self.by_epoch:
            return awaiting(run, f"a gain of {self.min_gain:g} by epoch {self.by_epoch}", evaluated=len(asked) - 1)
        if len(asked) < 2:
            return not_recorded(
                f"{self.metric} is recorded once in the first {self.by_epoch} epochs: no gain can be measured"
            )
        best = max(range(1, len(asked)), key=lambda i: asked[i][1])
        return failed(self._finding(run, asked, best, bound), evaluated=len(asked) - 1)

    def _ceiling(self, run: Run) -> float:
        known = baselines(run, self.metric)
        return known.get("optimum", known.get("best_linear", 1.0))

    def _finding(self, run: Run, asked: list[tuple[int, float]], index: int, bound: float) -> Finding:
        (start, first), (epoch, value) = asked[0], asked[index]
        return Finding(
            code="gain",
            metric=self.metric,
            measured=value - first,
            bounds=(floor(bound - first, "gain by its epoch, or the ceiling of the data"),),
            epoch=epoch,
            evidence=(
                Fact("first", first, epoch=start),
                Fact("value", value, epoch=epoch),
                *evidence(run, self.metric),
            ),
            phrase="{metric} gained {measured}",
        )


PASSES = (
    made.case("perfect_oracle", Improves(), made.val_run([1.0] * 5)),
    made.case("amn_584k", Improves(), made.val_run(made.AMN_584K_VAL)),
    made.case("decided_as_soon_as_it_gained", Improves(), made.val_run(made.AMN_584K_VAL[:2], over=False)),
    made.case("gru_584k", Improves(), made.val_run(made.lines(20, 0.3857, 0.57, 0.5675))),
    made.case("scrambled_corpus_still_learns", Improves(), made.val_run(made.AMN_790K_1_VAL)),
    made.case("starts_at_its_ceiling", Improves(), made.val_run([0.638] * 6, facts=made.TWIN_FACTS)),
)
FAILS = (
    made.case("flat", Improves(), made.val_run([0.45] * 5), "gain", 0.0),
    made.case("best_at_epoch_1", Improves(), made.val_run(made.lines(20, 0.4118, 0.4051)), first=0.4118),
    made.case("infonce_with_a_little_mse", Improves(), made.val_run(made.lines(20, 0.4116, 0.4147, 0.4050))),
    made.case("flat_far_below_its_ceiling", Improves(), made.val_run([0.59] * 6, facts=made.TWIN_FACTS), optimum=0.641),
    made.case("nan_at_epoch_2", Improves(), made.val_run([0.3, float("nan"), 0.5, 0.5, 0.5]), "not_finite"),
)
