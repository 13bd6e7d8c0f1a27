"""gradient_norm_zero: gradients arrive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lvmcheck.checks.curves._curves import CurveCheck, concluded, found_at, improved, lower_is_better, place_fact
from lvmcheck.checks.finding import Fact, Finding, Outcome, failed, not_applicable, not_recorded, warning
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.laws import LEVELS
from lvmcheck.run.curves import Curve
from lvmcheck.run.view import Run, run_from

LEAST = 3
"""Recorded norms from which zeros are no chance."""
TAIL = 0.1
"""Share of the run at whose end the gradient may not be 0."""
VANISHED = 1e-6
"""Share of its first level below which a gradient norm has vanished."""


@dataclass(frozen=True, kw_only=True)
class GradientNormZero(CurveCheck):
    """The gradient norm is not exactly 0 throughout, nor in the last tenth of the run, while the loss is not 0.

    A norm that fell below a millionth of its first level while the loss kept more than half of its own warns.

    Why:
    A gradient of exactly 0 means that nothing can be learned: it is a cut graph or a dead network, never a minimum.

    Usual causes:
    - The loss does not depend on the parameters: detach(), no_grad(), argmax, .item(), a numpy round trip.
    - Gradients are cleared between backward() and step() (or between backward() and the measurement).
    - All units of a ReLU layer are dead, a sigmoid is saturated, a scale is 0.

    Fix:
    After backward() print p.grad of the first and the last layer. None: not in the graph. Zero: dead or saturated.

    Healthy runs that must pass:
    A loss of 0 whose gradient is 0; a policy whose reward has reached its best; single steps without a gradient;
    norms that fall with the loss.

    Source:
    This project's list of checks: grad_cleared_before_step and vanishing_gradient. Severity: exact zeros fail, a
    vanished norm warns.
    """

    exempt = LEVELS

    def judge_ended(self, run: Run) -> Outcome:
        norm, loss = run.curves.gradient, run.curves.train
        if norm is None:
            return not_recorded("no gradient norm is recorded")
        if len(norm) < LEAST:
            return not_applicable(f"fewer than {LEAST} finite gradient norms are recorded")
        if loss is not None and len(loss) and not loss.values[-LEAST:].any():
            return not_applicable("the loss is 0, and so may its gradient be")
        zeros = _zeros(norm)
        solved = 0 < zeros < len(norm) and any(map(_at_its_best, run.curves.rewards))
        if zeros == len(norm) or (not solved and zeros >= LEAST and zeros > TAIL * len(norm)):
            return failed(_finding("always_zero" if zeros == len(norm) else "zero_to_the_end", norm, zeros))
        if not solved and _vanished(norm, loss):
            return warning(_finding("vanished", norm, 0), evaluated=len(norm))
        return concluded(_finding("flows", norm, 0), [norm], evaluated=len(norm))


def _at_its_best(reward: Curve) -> bool:
    """Whether a reward rose, and ends at the best it ever was: nothing may be left to learn."""
    return improved(reward) and float(lower_is_better(reward)[-1]) <= float(lower_is_better(reward).min())


def _zeros(norm: Curve) -> int:
    """Zeros at the end."""
    other = np.flatnonzero(norm.values)
    return len(norm) - (int(other[-1]) + 1 if len(other) else 0)


def _vanished(norm: Curve, loss: Curve | None) -> bool:
    if loss is None or len(norm) < 10 or len(loss) < 10:
        return False
    ends = [float(np.median(np.abs(values))) for values in (norm.values[:3], norm.values[-3:])]
    levels = [float(np.median(values)) for values in (loss.values[:3], loss.values[-3:])]
    return ends[1] < VANISHED * ends[0] and levels[1] > 0.5 * levels[0] > 0


def _finding(code: str, norm: Curve, zeros: int) -> Finding:
    return found_at(
        norm,
        len(norm) - max(zeros, 1),
        code,
        float(norm.values[-1]),
        evidence=(place_fact("first", norm, 0), Fact("values", zeros or len(norm))),
        phrase="gradient norm exactly 0 in {values} recorded values to the end" if zeros else "",
    )


_case = made.Cases(GradientNormZero())
_FALL = made.lines(20, 2.3, 0.4)
PASSES = (
    _case("perfect_oracle", made.window_run(_FALL, grad_norms=[1.0] * 20)),
    _case("falls_with_the_loss", made.window_run(_FALL, grad_norms=[0.5**i for i in range(20)])),
    _case(
        "policy_that_is_as_good_as_can_be",
        made.window_run([0.0, *made.lines(19, 0.2, 0.1)], grad_norms=[1.0] * 12 + [0.0] * 8).extended(
            run_from({"reward": [10.0, 60.0, 110.0, 150.0, 150.0, 150.0, 150.0, 150.0]}).events
        ),
    ),
    _case("a_step_without", made.window_run(_FALL, grad_norms=[1.0] * 10 + [0.0] + [1.0] * 9)),
)
FAILS = (
    _case("cut_graph", made.window_run([2.3] * 20, grad_norms=[0.0] * 20), "always_zero", 0.0),
    _case("died", made.window_run([2.3] * 20, grad_norms=[1.0] * 10 + [0.0] * 10), "zero_to_the_end"),
)
