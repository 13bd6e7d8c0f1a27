"""clipping_acts_sometimes: clipping does not decide the size of every step, and comes after unscaling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, failed
from lvmcheck.checks.watch._watched import Cases, Series
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

STEPS, SAME, TINY = 20, 1e-4, 1e-3
"""Measured steps in a row with norms that differ by less than SAME; a norm below TINY is no bound that was meant."""
SCALED = "clipped_before_unscale"
BOUNDS = (0.1, 0.25, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Usual values of max_norm; divided by a power of two, the scale of a gradient scaler, they are 0.001 and less."""


def _scaled(norm: float, scale: float | None = None) -> bool:
    """Whether a norm is a usual bound of clipping, divided by what a gradient scaler multiplies with.

    Where the scale was measured that is asked for, and norms that are a usual bound themselves are left alone.
    """
    if scale is not None and scale > 1:
        return _bound(norm * scale) and not _bound(norm)
    if not 0 < norm < TINY:
        return False
    powers = [math.log2(bound / norm) for bound in BOUNDS]
    return any(8 <= round(power) <= 32 and abs(power - round(power)) < 1e-3 for power in powers)


def _bound(norm: float) -> bool:
    """Whether it is a usual bound of clipping, up to rounding."""
    return any(abs(norm / bound - 1) < 1e-3 for bound in BOUNDS)


@dataclass(frozen=True, kw_only=True)
class ClippingActsSometimes(Series):
    """The gradient norms at twenty measured steps in a row are not all the same number.

    Fails where that number is a usual bound divided by a power of two, and below 0.001 (clipping before a gradient
    scaler has unscaled), passes where it is a usual bound (0.1 to 10), warns elsewhere.

    Why:
    When every step is clipped, its size says nothing about the loss any more, and the learning rate means another
    thing. Clipped before unscaling, every gradient is divided by the scale once more.

    Usual causes:
    - The bound is far below the usual norm of this model.
    - clip_grad_norm_ is called before scaler.unscale_(optimizer).
    - The loss is a sum where a mean was meant.

    Fix:
    Call scaler.unscale_(optimizer) before clipping; set the bound to a few times the median norm.

    Healthy runs that must pass:
    Policies and language models that are clipped to a usual bound throughout; clipping at the start of a training, or
    now and then; full-batch descent on a loss that is nearly linear.

    Source:
    This project's list of faults in training loops: clip_effective.
    """

    event = "gradient_norm"
    needs = STEPS
    mild = True

    def look_at(self, events: Sequence[Watch]) -> Finding | None:
        norms = [event.values.get("norm", math.nan) for event in events[-STEPS:]]
        if len(norms) < STEPS or not max(norms) > 0:
            return None
        spread = math.nan if any(map(math.isnan, norms)) else max(norms) / min(norms) - 1 if min(norms) > 0 else 1.0
        same, scaled = spread < SAME, _scaled(norms[-1], events[-1].values.get("scale"))
        usual = same and not scaled and _bound(norms[-1])
        return Finding(
            code=SCALED if scaled else "usual_bound" if usual else "always_clipped",
            measured=spread,
            bounds=(floor(0.0 if usual else SAME),),
            step=events[-1].step,
            evidence=(Fact("gradient_norm", norms[-1]), Fact("steps", len(norms))),
            phrase="gradient norm {gradient_norm} at each of {steps} measured steps"
            if same
            else "gradient norms of {steps} measured steps differ by {measured}",
        )

    def judge(self, run: Run) -> Outcome:
        outcome = super().judge(run)
        finding = outcome.finding
        if outcome.status is Status.WARNING and finding is not None and finding.code == SCALED:
            return failed(finding, evaluated=outcome.evaluated)
        return outcome


_case = Cases(ClippingActsSometimes())


def _norms(*values: float) -> list[dict[str, float]]:
    return [{"norm": value} for value in values]


PASSES = (
    _case("perfect_oracle", _norms(*[1.0, 0.9] * 12)),
    _case("clipped_to_1", _norms(*[1.0] * 20), measured=0.0),
    _case("clipped_at_the_start", _norms(*[1.0] * 12, *[0.5, 0.4] * 6)),
)
FAILS = (
    _case("clipped_before_unscale", _norms(*[1 / 65536] * 20), SCALED, step=20, gradient_norm=1 / 65536),
    _case("clipped_before_unscale_by_16", [{"norm": 1 / 16, "scale": 16.0}] * 20, SCALED, step=20),
    _case(
        "always_after_unscale", [{"norm": 0.01, "scale": 65536.0}] * 20, "always_clipped", 0.0, status=Status.WARNING
    ),
    _case("bound_far_too_low", _norms(*[0.00099999] * 20), "always_clipped", 0.0, status=Status.WARNING),
    _case("always", _norms(*[0.03] * 20), "always_clipped", 0.0, status=Status.WARNING),
)
