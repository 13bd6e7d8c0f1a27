"""clipping_leaves_gradient: clipping leaves more than a tiny share of the gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.protocol import Case
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import Watched, case_run
from lvmcheck.run.events import Watch

LEAST = 0.02


@dataclass(frozen=True, kw_only=True)
class ClippingLeavesGradient(Watched):
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
    Clipping now and then, at the start, or to a tenth; Adam and its like, which undo a constant factor; gradients that
    a scaler unscales; accumulation over several backward passes, which is not looked at.

    Source:
    Issue 15 (clip_effective).
    """

    universal = True
    event = "clip"
    streak = 10

    def look(self, event: Watch) -> Finding | None:
        if event.values.get("adaptive"):
            return None
        share = event.values.get("share", math.nan)
        return Finding(
            code="clipped_to_nothing",
            measured=share,
            bounds=(floor(LEAST),),
            step=event.step,
            evidence=(Fact("factor", share),),
            phrase="{measured} of the gradient is left when the optimizer steps",
        )


_CHECK = ClippingLeavesGradient()
_WHOLE = {"share": 1.0, "adaptive": 0.0}
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, case_run("clip", [_WHOLE] * 12), measured=1.0),
    made.case("clipped_to_a_tenth", _CHECK, case_run("clip", [{**_WHOLE, "share": 0.1}] * 12)),
    made.case("adam", _CHECK, case_run("clip", [{"share": 1e-3, "adaptive": 1.0}] * 12 + [_WHOLE])),
)
FAILS: Sequence[Case] = (
    made.case("to_nothing", _CHECK, case_run("clip", [{**_WHOLE, "share": 5e-3}] * 10), "clipped_to_nothing", 5e-3),
    made.case("not_a_number", _CHECK, case_run("clip", [{**_WHOLE, "share": math.nan}] * 10)),
)
