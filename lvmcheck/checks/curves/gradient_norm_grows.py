"""gradient_norm_grows: the gradient norm does not grow without end, nor jump when an epoch begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.curves._curves import SURE, CurveCheck, concluded, found_at, improved
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import LEVELS
from lvmcheck.run.curves import Curve
from lvmcheck.run.view import Run
from lvmcheck.statistics.curve import blocks, correlation, trend

LEAST = 4
"""Recorded norms from which growth is no chance."""
FATAL, MUCH = 300.0, 20.0
"""Times its early level at the end: the first fails, the second warns, or fails where nothing was learned."""
SLOW, OPPOSITE, STEADY = 100.0, 6.0, 0.85
"""Times its early level that warns where the loss improved, and that fails where it fell to a tenth while the norm grew
with the steps, by a correlation of this."""
STUCK, LITTLE = 10.0, 0.7
"""Times its first values at the end, beside a loss that stays above this share of its own and does not fall."""
LINE, FACTOR = 0.97, 4.0
"""Correlation of norm and step from which the growth is a straight line, as of gradients that add up, and its size."""
SPARSE = 0.4
"""Share of the run without a recorded norm from which it is not known how the norm grew."""


@dataclass(frozen=True, kw_only=True)
class GradientNormGrows(CurveCheck):
    """At the end the gradient norm is at most 20 times its early level (warns), or 300 times (fails).

    The early level is the median of the second tenth of the run, the end that of its last tenth. Where the loss
    improved, a growth of more than 100 times warns, of 4 times in a straight line, too; steadily over 6 times while the
    loss fell to a tenth, or 10 times its first values while it stands still, fails, or 20 times in nearly every value
    while half of the loss is left. Where it did not, all of these do.

    Why:
    A norm that grows by orders of magnitude announces divergence; clipping hides it from the loss. A norm that grows
    in proportion to the steps is a sum over all of them: gradients are not cleared.

    Usual causes:
    - zero_grad() is missing, so that gradients add up step by step.
    - The learning rate is too high for this stage of training.
    - Recurrence over many steps without clipping; weights that grow without decay.
    - A loss that is summed over a batch or an epoch that grows.

    Fix:
    Call optimizer.zero_grad() in every step. Else halve the learning rate, clip by the norm, and look at the norm of
    each layer at the place where the growth begins.

    Healthy runs that must pass:
    Norms that are small while a warm-up begins; a rise by a few times late in a language model; single large batches.

    Source:
    This project's list of checks: zero_grad_missing and exploding_gradient. Severity: by size.
    """

    exempt = LEVELS

    def judge_ended(self, run: Run) -> Outcome:
        norm = run.curves.gradient
        if norm is None:
            return not_recorded("no gradient norm is recorded")
        if len(norm) < LEAST or not norm.values.any():
            return not_applicable(f"fewer than {LEAST} gradient norms above 0 are recorded")
        gap = float(np.diff(norm.steps).max()) / max(1.0, float(norm.steps[-1] - norm.steps[0]))
        if gap > SPARSE:
            return not_applicable(f"no gradient norm is recorded over {gap:.0%} of the run")
        early, late = _ends(norm)
        growth = late / early if early > 0 else 0.0
        line = correlation(norm.steps.astype(np.float64), norm.values) > LINE
        learned = run.curves.train is not None and improved(run.curves.train)
        limit = FACTOR if line else SLOW if learned else MUCH
        code = "grows_in_a_line" if line else "grows"
        if learned and _against(run, growth):
            code, limit = "grows_against_the_loss", OPPOSITE
        elif learned and (_stuck(run, norm) or _adds_up(run, norm)):
            code, limit = "grows_beside_a_still_loss", min(growth / 2, FACTOR)
        if growth <= limit or trend(norm.values) < min(SURE, _most(len(norm))):
            return concluded(_finding("bounded", norm, early, growth, None), [norm], evaluated=len(norm))
        finding = _finding(code, norm, early, growth, limit)
        bad = growth > FATAL or not learned or code not in ("grows", "grows_in_a_line")
        return (failed if bad and not run.curves.adversarial else warning)(finding, evaluated=len(norm))


def _ends(norm: Curve) -> tuple[float, float]:
    """Early and late level."""
    if len(norm) < 20:
        return float(np.median(norm.values[: max(2, len(norm) // 4)])), float(np.median(norm.values[-2:]))
    parts = blocks(norm.values, 10)
    return float(max(parts[0], parts[1])), float(parts[-1])


def _against(run: Run, growth: float) -> bool:
    """Whether the norm grew while a loss above 0 fell to a tenth: a sum over steps, not a gradient."""
    train, norm = run.curves.train, run.curves.gradient
    if train is None or len(train) < 20 or growth <= OPPOSITE or run.curves.adversarial:
        return False
    parts = blocks(train.values, 10)
    steady = norm is not None and correlation(norm.steps.astype(np.float64), norm.values) > STEADY
    return steady and bool(0 < parts[-1] < 0.1 * parts[0])


def _stuck(run: Run, norm: Curve) -> bool:
    """Whether the norm is far above its first values, and the loss is little below its own and stands still."""
    train = run.curves.train
    if train is None or len(train) < 20 or len(norm) < 10 or run.curves.adversarial:
        return False
    start, late = float(np.median(norm.values[:2])), float(np.median(norm.values[-5:]))
    first, levels = float(train.values[0]), blocks(train.values, 10)
    still = 0 < LITTLE * first < float(levels.min()) and float(levels[-1]) < 1.5 * first
    return bool(late > STUCK * start > 0 and still and trend(train.values[len(train) // 3 :]) > -1)


def _adds_up(run: Run, norm: Curve) -> bool:
    """Whether nearly every norm is above the one before, to twenty times the first, and half of the loss is left."""
    train = run.curves.train
    if train is None or len(norm) < 10 or run.curves.adversarial or run.curves.rewards or not train.values[0] > 0:
        return False
    start, late = float(np.median(norm.values[:3])), float(np.median(norm.values[-3:]))
    left = float(np.median(train.values[-3:])) > 0.5 * float(train.values[0])
    return late > MUCH * start > 0 and left and trend(norm.values) > 1.6 * _most(len(norm))


def _most(count: int) -> float:
    """Half of the trend of a few values that rise each time."""
    return trend(np.arange(count, dtype=np.float64)) / 2


def _finding(code: str, norm: Curve, early: float, growth: float, limit: float | None) -> Finding:
    return found_at(
        norm,
        -1,
        code,
        growth,
        unit="x",
        bounds=() if limit is None else (ceiling(limit),),
        evidence=(Fact("early_level", early), Fact("last", float(norm.values[-1]))),
        phrase="gradient norm at the end {measured} its early level of {early_level}",
    )


_case = made.Cases(GradientNormGrows())
_FALL = made.lines(40, 2.3, 0.4)
PASSES = (
    _case("perfect_oracle", made.window_run(_FALL, grad_norms=[1.0] * 40)),
    _case("falls", made.window_run(_FALL, grad_norms=[0.9**i for i in range(40)])),
    _case("rises_a_little", made.window_run(_FALL, grad_norms=made.lines(40, 0.2, 0.4, 1.0))),
    _case("one_large_batch", made.window_run(_FALL, grad_norms=[0.1] * 20 + [500.0] + [0.1] * 19)),
)
FAILS = (
    _case(
        "adds_up_while_the_loss_falls",
        made.window_run(made.lines(40, 4.4, 3.6, 2.9), grad_norms=[2.0 * 1.13**i for i in range(40)]),
        "grows_beside_a_still_loss",
    ),
    _case("adds_up", made.window_run([2.3] * 40, grad_norms=made.lines(40, 0.0, 400.0)), "grows_in_a_line"),
    _case("explodes", made.window_run(_FALL, grad_norms=[1.5**i for i in range(40)]), "grows"),
)
