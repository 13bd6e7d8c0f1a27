"""loss_terms_have_gradient: no part of the loss that varies is without gradient."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch

LEAST = 1e-3
"""Share of the loss below which a term does not count."""


@dataclass(frozen=True, kw_only=True)
class LossTermsHaveGradient(Watched):
    """No term of the loss that varies from step to step, and is more than a thousandth of it, is without gradient,
    in three measured steps in a row.

    Why:
    A term that was turned into a number (a float penalty, an item(), a detached log-probability) is part of every
    reported loss and trains nothing. The curve falls by the other terms, or does not.

    Usual causes:
    - float(), .item(), .detach() or .data on a term before it is added.
    - A penalty computed under no_grad, or from numpy.
    - Log-probabilities of actions that were stored detached.

    Fix:
    Add the term as a tensor with its graph. What is only logged belongs into a metric, not into the loss.

    Healthy runs that must pass:
    Constants that are added; terms of weight 0; x + (y - x).detach(), which changes the value of a loss and not its
    gradient; factors without gradient, such as advantages; losses whose terms are not seen, because they are added
    inside of the model or by one function.

    Source:
    This project's list of faults in training loops: graph cut, detached terms.
    """

    event = "loss_addends"
    streak = 3

    def look(self, event: Watch) -> Finding:
        share = event.values.get("share", float("nan"))
        return Finding(
            code="varies_without_gradient",
            measured=share,
            bounds=(ceiling(LEAST),),
            evidence=(
                Fact("varying", event.values.get("varying")),
                Fact("addends", event.values.get("addends")),
                *names(event, "which"),
            ),
            phrase="{varying} of {addends} loss terms vary and have no gradient: {measured} of the loss",
        )


_case = Cases(LossTermsHaveGradient())
_WHOLE = {"addends": 2, "without_gradient": 0, "varying": 0, "share": 0.0}
_CONSTANT = {"addends": 2, "without_gradient": 1, "varying": 0, "share": 0.0}
_FLOAT = {"addends": 2, "without_gradient": 1, "varying": 1, "share": 0.4}
PASSES = (
    _case("perfect_oracle", [_WHOLE] * 4, measured=0.0),
    _case("a_constant_is_added", [_CONSTANT] * 4),
    _case("tiny_offset", [{**_FLOAT, "share": 1e-5}] * 4),
)
FAILS = (
    _case(
        "float_penalty",
        [_CONSTANT, _CONSTANT, _FLOAT, _FLOAT, _FLOAT],
        "varies_without_gradient",
        0.4,
        subjects=["term 2 of 2"],
        varying=1,
        step=5,
    ),
    _case("not_a_number", [{**_FLOAT, "share": float("nan")}] * 3),
)
