"""first_non_finite: weights, outputs of modules and gradients are finite."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch

CODES = ("parameter", "module", "gradient")


@dataclass(frozen=True, kw_only=True)
class FirstNonFinite(Watched):
    """No weight, output of a module or gradient of a measured step is NaN or infinite; the first one is named: a
    weight, else the first module in forward order, else the last gradient in that order, which backward makes
    first.

    Why:
    A NaN spreads to everything within one step. Where it was made can only be seen in that step.

    Usual causes:
    - log or division by 0, sqrt of 0 in the backward pass, exp of a large number.
    - float16 that overflows without a gradient scaler.
    - A learning rate that is too high, or a bad row in the data.

    Fix:
    Look at the named module on the batch of that step; add an epsilon, clamp, or compute it in float32.

    Healthy runs that must pass:
    Steps that a gradient scaler skips; masks of -inf inside attention, whose outputs are finite.
    """

    event = "finite"

    def look(self, event: Watch) -> Finding:
        of = event.values
        bad = [of.get(key, float("nan")) for key in ("parameters", "modules", "gradients")]
        where = next((code for code, count in zip(CODES, bad, strict=True) if count), CODES[1])
        return Finding(
            code=where,
            measured=sum(bad),
            bounds=(equal(0),),
            evidence=(*names(event, "first"), Fact("total", of.get("values"))),
            phrase="NaN or inf, first in {first}" if event.subjects else "{measured} of {total} values are NaN or inf",
        )


_case = Cases(FirstNonFinite())
_FINITE = {"parameters": 0.0, "modules": 0.0, "gradients": 0.0, "values": 30.0}
PASSES = (_case("perfect_oracle", [_FINITE] * 3), _case("one_sample", [_FINITE]))
FAILS = (
    _case(
        "log_of_zero",
        [_FINITE, {**_FINITE, "modules": 3, "gradients": 8}],
        "module",
        11,
        subjects=["head.log"],
        over=False,
        step=2,
        first="head.log",
    ),
    _case("backward_only", [{**_FINITE, "gradients": 2}], "gradient", 2, subjects=["0.weight"]),
    _case("not_a_number", [{**_FINITE, "gradients": float("nan")}]),
)
