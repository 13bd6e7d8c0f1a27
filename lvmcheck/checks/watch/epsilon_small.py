"""epsilon_small: the epsilon of an adaptive optimizer does not dominate."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

MOST = 10.0


@dataclass(frozen=True, kw_only=True)
class EpsilonSmall(Watched):
    """For most weights the epsilon of Adam or RMSprop is at most 10 times the root of the second moment that it is
    added to, in the first measured steps (not in ten of them in a row).

    Why:
    Where epsilon dominates, Adam is plain gradient descent with a rate of lr / eps: steps shrink with the gradient, and
    a rate that suits Adam is far too small.

    Usual causes:
    - An epsilon that was raised for stability, or meant for another optimizer.
    - Gradients that are tiny because the loss is divided by its number of elements more than once.

    Fix:
    Lower eps to 1e-8, or scale the loss so that gradients are far above it.

    Healthy runs that must pass:
    The usual epsilons from 1e-15 to 1e-5; larger ones beside gradients of that size; gradients that vanish later, when
    all is learned; rows and units without gradient.

    Source:
    This project's list of faults in training loops: Adam's epsilon dominating.
    """

    event = "epsilon"
    streak = 10

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="epsilon_dominates",
            measured=event.values.get("over_root"),
            bounds=(ceiling(MOST),),
            evidence=(Fact("samples", 1),),
            phrase="epsilon is {measured} times the root of the second moment of most weights",
        )


_case = Cases(EpsilonSmall())
PASSES = (
    _case("perfect_oracle", [{"over_root": 1e-6}] * 12, measured=1e-6),
    _case("comparable", [{"over_root": 2.0}] * 12),
)
FAILS = (
    _case("epsilon_0_3", [{"over_root": 80.0}] * 10, "epsilon_dominates", 80.0, step=10),
    _case("not_a_number", [{"over_root": float("nan")}] * 10),
)
