"""not_diverging: what was learned is not lost, inside an epoch or across epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, passed
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import awaiting, check_number, complete, not_at_end, not_finite, windows_not_at_end
from lvmcheck.run.view import Run, Series

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GROUP = 5
"""Windows whose median is compared: two wild ones cannot move it."""
SUSTAIN = 3
"""Consecutive groups, or epochs, that must stay beyond the bound."""
COSINES = ("val_cosine", "train_cosine", "train_eval_cosine")


@dataclass(frozen=True, kw_only=True)
class NotDiverging(Check):
    """The loss does not stay above `factor` times its minimum so far, and no cosine collapses.

    Loss: medians of 5 windows of steps; three such groups in a row above `factor` times the lowest group so far fail
    (runs without windows: train_loss, three epochs). Differences below a thousandth of the first loss do not count.
    Cosines (val_cosine, train_cosine, train_eval_cosine, whichever are logged): a value `collapse` below the best so
    far fails at once, `drop` below it for three epochs fails too.

    Why:
    A run that diverges never comes back by itself, and every further epoch is wasted. The collapses on record took one
    epoch: 0.540 to 0.338 and to 0.354 when a schedule jumped, 0.476 to -0.049 in a curriculum. Running means from the
    start of an epoch cannot show this; one team saw a "divergence at epoch 7" in them while the epoch means fell from
    0.159 to 0.115. Windows are not running means.

    Usual causes:
    - A scheduled loss weight, stage or positional scale jumps at the boundary of an epoch.
    - The learning rate is too high, or grows (warm-up past the stable value, wrong sign of the decay).
    - A second loss term takes over (see loss_balance).
    - A batch of broken data; gradients that are not clipped.

    Fix:
    Look at what changed in the configuration at the epoch in the message. Restart from the checkpoint before it with
    the change spread over thousands of steps, or half the learning rate.

    Healthy runs that must pass:
    Batches of four with a loss that swings by a factor of 3; a loss close to 0 that wanders within rounding; an early
    validation peak followed by slow over-fitting (see val_loss_descends); cosine restarts.

    Source:
    Post-mortems of the original project (V3, P4, P6b) and recorded epoch means of cognate_phase1_training_failure.
    """

    metric_fields = ()

    factor: float = 2.0
    collapse: float = 0.10
    drop: float = 0.05

    def __post_init__(self) -> None:
        check_number("factor", self.factor, 1.0)
        check_number("collapse", self.collapse, 0.0, 2.0)
        check_number("drop", self.drop, 0.0, 2.0)

    def judge(self, run: Run) -> Outcome:
        cosines = [run.series(name) for name in COSINES if name in run.metric_names]
        compared = sum(max(len(series) - 1, 0) for series in cosines)
        for series in cosines:
            outcome = self._cosine(series) or not_finite(series)
            if outcome is not None:
                return outcome
        outcome, groups = self._loss(run)
        if outcome is not None:
            return outcome
        if not complete(run) or not (run.windows or run.metric_names):
            return awaiting(run, "the remaining steps", evaluated=compared + groups)
        cut = next((cut for series in cosines if (cut := not_at_end(run, series))), windows_not_at_end(run))
        if cut is not None:
            return cut
        if not compared + groups:
            return not_applicable("one epoch without enough windows of steps: there is nothing to compare")
        compared += groups
        finding = Finding(
            code="kept",
            measured=0,
            epoch=run.last_epoch or None,
            evidence=(Fact("comparisons", compared),),
            phrase="no collapse of loss or cosine in {comparisons} comparisons",
        )
        return passed(finding, evaluated=compared)

    def _cosine(self, series: Series) -> Outcome | None:
        best, best_epoch, low = -math.inf, 0, 0
        for i, (epoch, value) in enumerate(zip(series.epochs.tolist(), series.values.tolist(), strict=True)):
            low = low + 1 if value < best - self.drop else 0
            if value < best - self.collapse or low >= SUSTAIN:
                bound = self.collapse if value < best - self.collapse else self.drop
                return failed(_collapse(series.name, best, best_epoch, value, epoch, bound), evaluated=i)
            if value > best:
                best, best_epoch = value, epoch
        return None

    def _loss(self, run: Run) -> tuple[Outcome | None, int]:
        """The outcome on losses, if it is a fail, and the number of groups compared."""
        import numpy as np

        if run.windows:
            losses, size = run.window_column("loss_mean"), GROUP
        else:
            losses, size = run.series("train_loss").values, 1
        if not len(losses):
            return None, 0
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            finding = self._place(run, int(bad[0]), 1, float(losses[bad[0]]), "not_finite")
            return failed(finding, evaluated=int(bad[0]) + 1), 0
        medians = np.median(losses[: len(losses) // size * size].reshape(-1, size), axis=1)
        at = _sustained(medians, self.factor)
        if at is None:
            return None, max(len(medians) - 1, 0)
        lowest = float(medians[: at + 1].min())
        finding = self._place(run, at, size, float(medians[at]), "above_minimum", lowest)
        return failed(finding, evaluated=at), at

    def _place(self, run: Run, index: int, size: int, value: float, code: str, lowest: float | None = None) -> Finding:
        step: int | None = None
        if run.windows:
            window = run.windows[(index + 1) * size - 1]
            epoch, step = window.epoch, window.last_step
        else:
            epoch = int(run.series("train_loss").epochs[index])
        evidence = () if lowest is None else (Fact("lowest_before", lowest), Fact("groups_in_a_row", SUSTAIN))
        return Finding(code=code, metric="train_loss", measured=value, epoch=epoch, step=step, evidence=evidence)


def _collapse(metric: str, best: float, best_epoch: int, value: float, epoch: int, bound: float) -> Finding:
    return Finding(
        code="collapsed",
        metric=metric,
        measured=best - value,
        bounds=(ceiling(bound),),
        epoch=epoch,
        evidence=(Fact("best", best, epoch=best_epoch), Fact("value", value, epoch=epoch)),
        phrase="{metric} fell {measured} below its best ({best})",
    )


def _sustained(values: NDArray[np.float64], factor: float) -> int | None:
    """Index that completes three values in a row above ``factor`` times the minimum so far; O(n).

    The minimum counts as at least a thousandth of the first value, so that a loss near zero may wander.
    """
    import numpy as np

    if not len(values):
        return None
    lowest = np.minimum.accumulate(values)
    bound = lowest + (factor - 1) * np.maximum(np.abs(lowest), 1e-3 * abs(values[0]))
    high = np.convolve(values > bound, np.ones(SUSTAIN, dtype=np.int64))[: len(values)]
    hits = np.flatnonzero(high >= SUSTAIN)
    return int(hits[0]) if len(hits) else None


_case = made.Cases(NotDiverging())
_FALLING = [3.76, 1.5, 1.1, 0.9, 0.8, 0.7, 0.5, 0.4] + [0.3] * 32
_SWINGING = [loss * (0.5, 1.0, 1.5)[i % 3] for i, loss in enumerate(_FALLING)]

PASSES = (
    _case("perfect_oracle", made.window_run([0.0] * 20)),
    _case("amn_584k", made.val_run(made.AMN_584K_VAL, train_cosine=made.AMN_584K_TRAIN)),
    _case("attempt_2_is_bad_and_does_not_diverge", made.val_run(made.AMN_790K_2_VAL)),
    _case("cognate_epoch_means", {"train_loss": made.COGNATE_TRAIN_LOSS}),
    _case("batches_of_four", made.window_run(_SWINGING)),
    _case("near_zero", made.window_run([1.0] * 5 + [1e-7, 5e-7, 2e-7, 9e-7, 1e-6] * 7)),
)
FAILS = (
    _case("p4", made.val_run(made.P4_VAL, over=False), "collapsed", 0.202, epoch=4, best=0.54),
    _case("v3", made.val_run(made.V3_VAL), measured=0.186),
    _case("p6b", made.val_run(made.P6B_VAL), value=-0.0494),
    _case("slow_loss_of_everything", made.val_run(made.lines(12, 0.55, 0.56, 0.48)), "collapsed"),
    _case(
        "rises_inside_an_epoch",
        made.window_run(_FALLING[:20] + [0.3 + 0.1 * i for i in range(20)], per_epoch=40, over=False),
        "above_minimum",
        step=2000,
    ),
    _case("train_loss_by_epoch", {"train_loss": [1.0, 0.3, 0.7, 0.8, 0.9]}, epoch=5),
    _case("nan", made.window_run([1.0, float("nan")], over=False), "not_finite"),
)
