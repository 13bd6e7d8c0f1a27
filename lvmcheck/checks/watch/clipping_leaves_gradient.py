"""clipping_leaves_gradient: clipping leaves more than a tiny share of the gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Series
from lvmcheck.run.events import Watch

LEAST, SCALED = 0.02, 1e-3
"""Share that is left, and relative range of ten shares that are one factor and no bound."""


@dataclass(frozen=True, kw_only=True)
class ClippingLeavesGradient(Series):
    """At least a fiftieth of the gradient that a backward pass brings is left when an optimizer without adaptive steps
    uses it, in one of any ten measured steps in a row.

    Why:
    Clipping is a guard against the rare leap. Where it takes nearly all of every gradient, it is a learning rate that
    is fifty times too small, and nothing says so.

    Usual causes:
    - A bound that was meant for gradients of a mean, on those of a sum.
    - clip_grad_norm_ before scaler.unscale_: the bound is divided by the scale.
    - clip_grad_value_ where clip_grad_norm_ was meant.

    Fix:
    Set the bound to a few times the median norm; unscale before clipping.

    Healthy runs that must pass:
    Clipping now and then, at the start, or to a tenth; Adam and its like, which undo a constant factor; gradients
    that a scaler unscales, or the loop by a constant of its own; accumulation over several backward passes, which
    is not looked at.

    Source:
    This project's list of faults in training loops: clip_effective.
    """

    event = "clip"
    needs = 10

    def look_at(self, events: Sequence[Watch]) -> Finding | None:
        shares = [event.values.get("share", math.nan) for event in events if not event.values.get("adaptive")]
        if len(shares) < self.needs:
            return None
        most = math.nan if any(map(math.isnan, shares)) else max(shares)
        scaled = most > 0 and most - min(shares) <= SCALED * most  # what a bound leaves varies with the gradient
        share = 1.0 if scaled else most
        return Finding(
            code="clipped_to_nothing",
            measured=share,
            bounds=(floor(LEAST),),
            step=events[-1].step,
            evidence=(Fact("factor", share),),
            phrase="{measured} of the gradient is left when the optimizer steps",
        )


_case = Cases(ClippingLeavesGradient())
_WHOLE = {"share": 1.0, "adaptive": 0.0}


def _varying(share: float) -> list[dict[str, float]]:
    return [{**_WHOLE, "share": share / (1 + i % 3)} for i in range(10)]


PASSES = (
    _case("perfect_oracle", [_WHOLE] * 12, measured=1.0),
    _case("scaled_by_hand", [{**_WHOLE, "share": 2**-10}] * 12),
    _case("clipped_to_a_tenth", [{**_WHOLE, "share": 0.1}] * 12),
    _case("adam", [{"share": 1e-3, "adaptive": 1.0}] * 12 + [_WHOLE] * 10),
)
FAILS = (
    _case("to_nothing", _varying(5e-3), "clipped_to_nothing", 5e-3),
    _case("not_a_number", [{**_WHOLE, "share": math.nan}] * 10),
)
