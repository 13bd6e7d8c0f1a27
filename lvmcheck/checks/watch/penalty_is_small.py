"""penalty_is_small: a penalty on the weights does not decide where they go."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

ALONG = 0.98


@dataclass(frozen=True, kw_only=True)
class PenaltyIsSmall(Watched):
    """The gradient of the largest parameter does not point where a penalty on the weights alone points, with a cosine
    above 0.98, four times in a row among the first backward passes that are looked at, of which each is twice as late
    as the one before.

    Why:
    An L1 or L2 term whose factor is far too large drives the weights to 0, whatever the data say. At the optimum of
    both, the penalty and the data pull in opposite directions.

    Usual causes:
    - The factor is that of a mean, and the penalty is a sum over all weights.
    - The penalty is added once for each batch of an accumulation.

    Fix:
    Divide the factor by 10 until the loss without the penalty falls; or use weight_decay of AdamW.

    Healthy runs that must pass:
    Penalties of usual size; what is added to a loss and depends on the data.

    Source:
    This project's list of faults in training loops: one term dominates.
    """

    event = "penalty"
    streak = 4

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="dominates",
            measured=event.values.get("cosine"),
            bounds=(ceiling(ALONG),),
            phrase="the gradient of the loss has a cosine of {measured} with that of a penalty on the weights alone",
        )


_case = Cases(PenaltyIsSmall())


def _cosines(*values: float) -> list[dict[str, float]]:
    return [{"cosine": value} for value in values]


PASSES = (
    _case("perfect_oracle", _cosines(0.1, 0.2, 0.0, -0.1, -0.2)),
    _case("at_first_only", _cosines(0.99, 0.99, 0.99, 0.4, 0.1)),
)
FAILS = (
    _case("factor_of_a_hundred", _cosines(0.9, 0.999, 0.999, 0.999, 0.999), "dominates", 0.999, step=5),
    _case("from_the_first", _cosines(*[0.99] * 4), "dominates", 0.99, over=False),
    _case("not_a_number", _cosines(*[float("nan")] * 4)),
)
