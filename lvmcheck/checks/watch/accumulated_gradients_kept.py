"""accumulated_gradients_kept: gradients are not cleared between the parts of a step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

ONE = 0


@dataclass(frozen=True, kw_only=True)
class AccumulatedGradientsKept(Watched):
    """Where a step has several forward and backward passes on different rows, not each of them finds its gradients
    cleared, in five measured steps in a row.

    Why:
    Accumulation means adding. With zero_grad inside the loop over parts only the last part counts: the batch is a
    fraction of what it is said to be.

    Usual causes:
    - optimizer.zero_grad() inside the loop over micro-batches.
    - A helper that clears, called for each part.

    Fix:
    Call zero_grad once, before the first part, or after the step.

    Healthy runs that must pass:
    Accumulation that adds; a second look at the same rows (sharpness-aware steps); attacks that ask for the gradient
    of the inputs first; several optimizers or models.

    Source:
    This project's list of faults in training loops: gradients wrongly cleared.
    """

    event = "passes"
    streak = 5

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        backwards, cleared = of.get("backwards", 0.0), of.get("cleared", float("nan"))
        unknown = math.isnan(backwards) or math.isnan(cleared)
        if backwards < 2:
            return None
        lost = math.nan if unknown else cleared - 1 if cleared >= backwards else 0.0
        return Finding(
            code="cleared_between_parts",
            measured=lost,
            bounds=(ceiling(ONE),),
            evidence=(Fact("backwards", backwards),),
            phrase="the gradients of {measured} of {backwards} backward passes were cleared before the step",
        )


_case = Cases(AccumulatedGradientsKept())
PASSES = (
    _case("perfect_oracle", [{"backwards": 4.0, "cleared": 1.0}] * 6, measured=0.0),
    _case("never_cleared_to_none", [{"backwards": 4.0, "cleared": 0.0}] * 6),
)
FAILS = (
    _case("cleared_for_each_part", [{"backwards": 4.0, "cleared": 4.0}] * 5, "cleared_between_parts", 3.0, backwards=4),
    _case("not_a_number", [{"backwards": 4.0, "cleared": float("nan")}] * 5),
)
