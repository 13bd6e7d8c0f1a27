"""outputs_vary: rows with different inputs get different outputs."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

EQUAL = 1e-6


@dataclass(frozen=True, kw_only=True)
class OutputsVary(Watched):
    """Outputs of one batch are not all equal (to 1e-6 of their size) while its inputs differ, in five measured steps
    in a row that are 16 steps apart, or the last ones.

    Why:
    A model that has collapsed to one output predicts the mean of the targets, or one class: the loss is that of a
    constant.

    Usual causes:
    - Dead units, or a layer that began at zero and gets no gradient.
    - Inputs that vanish beside a large bias or a constant.
    - A learning rate that threw the model into a constant.

    Fix:
    Compare the loss with that of a constant; look for the first module whose outputs are equal, and at its units.

    Healthy runs that must pass:
    A last layer that begins at zero, in its first steps; a codebook that has one code for a while; batches of equal
    rows; outputs of one row.
    """

    event = "outputs"
    streak = 5
    span = 16
    needs = 20

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("rows", 0) < 2 or not of.get("input_spread", 0.0) > EQUAL:
            return None
        return Finding(
            code="collapsed",
            measured=of.get("spread"),
            bounds=(floor(EQUAL),),
            evidence=(Fact("input_spread", of.get("input_spread")), Fact("rows", of.get("rows"))),
            phrase="outputs of {rows} rows differ by {measured} of their size",
        )


_case = Cases(OutputsVary())
_OUT = {"spread": 0.5, "input_spread": 2.0, "rows": 32.0}
PASSES = (
    _case("perfect_oracle", [_OUT] * 5),
    _case("head_begins_at_zero", [{**_OUT, "spread": 0.0}] + [_OUT] * 5),
    _case("one_code_for_a_while", [_OUT] * 4 + [{**_OUT, "spread": 0.0}] * 10 + [_OUT] * 5),
)
FAILS = (
    _case("collapsed_on_the_way", [_OUT] * 4 + [{**_OUT, "spread": 0.0}] * 30 + [_OUT], "collapsed", step=21),
    _case("collapsed", [{**_OUT, "spread": 0.0}] * 5, "collapsed", 0.0, step=5),
    _case("not_a_number", [{**_OUT, "spread": float("nan")}] * 5),
)
