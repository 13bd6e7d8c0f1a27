"""targets_vary: the targets of a regression are not all one number."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class TargetsVary(Watched):
    """The targets of all regressions of a step (mse_loss, l1_loss, smooth_l1_loss, huber_loss) are not one and the same
    number in five measured steps in a row, which is neither 0 nor 1 nor -1.

    Why:
    A model that is asked for one number learns it at once, with a loss near 0 that looks like success.

    Usual causes:
    - A column of the table was filled with its default.
    - An index picks the same target for every row.

    Fix:
    Print the lowest and the highest target.

    Healthy runs that must pass:
    Adversarial losses, whose targets are 0 and 1; terms that pull to a constant beside a term with data.
    """

    event = "loss_target"
    streak = 5

    def look(self, event: Watch) -> Finding:
        of = event.values
        return Finding(
            code="constant",
            measured=of.get("constant"),
            bounds=(equal(0),),
            evidence=(Fact("target", of.get("value")),),
            phrase="every target of the step is {target}"
            if of.get("constant") == 1
            else "steps whose targets are all one number {measured}",
        )


_case = Cases(TargetsVary())
_ONE = {"constant": 1.0, "value": 0.7}
PASSES = (
    _case("perfect_oracle", [{"constant": 0.0}] * 5),
    _case("now_and_then", [_ONE, _ONE, {"constant": 0.0}] * 3),
)
FAILS = (
    _case("one_number", [_ONE] * 5, "constant", 1.0, over=False, target=0.7),
    _case("not_a_number", [{"constant": math.nan}] * 5),
)
