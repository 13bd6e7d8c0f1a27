"""loss_minimised: a cross-entropy or an error that the loss consists of is driven down, not up."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Outcome, not_recorded
from lvmcheck.checks.watch._watched import Cases, Watched, players, watched
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class LossMinimised(Watched):
    """Of the terms that a backward pass begins with, not all cross-entropies over classes and errors of a regression
    have a negative factor, in three measured steps in a row.

    Why:
    Minimising the negative of a cross-entropy drives it up without end: the model learns to be wrong, while the
    recorded loss falls.

    Usual causes:
    - A minus sign in front of a loss that is one already, as after a change from log_prob to cross_entropy.
    - Margins or rewards that are subtracted in the wrong order.

    Fix:
    Remove the sign; a perfect prediction must have the lowest loss.

    Healthy runs that must pass:
    Two players with losses of their own; terms that are maximised beside others that are minimised; a rate that
    belongs to maximize=True.

    Source:
    This project's list of faults in training loops: loss sign.
    """

    event = "loss_direction"
    streak = 3

    def decide(self, run: Run) -> Outcome:
        if players(run):
            return not_recorded("several models are watched, each with its own loss")
        moved = watched(run, "movement")
        if any(event.values.get("maximizes") for event in moved):
            return not_recorded("the optimizer maximises")
        return super().decide(run)

    def look(self, event: Watch) -> Finding:
        of = event.values
        known, up = of.get("known", float("nan")), of.get("maximised", float("nan"))
        return Finding(
            code="maximised",
            measured=up / known if known else float("nan"),
            bounds=(ceiling(0.99),),
            evidence=(Fact("losses", ", ".join(event.subjects)), Fact("terms", of.get("terms"))),
            phrase="share of the cross-entropies and errors in the loss that have a negative factor {measured}",
        )


_case = Cases(LossMinimised())
_DOWN = {"terms": 2.0, "known": 2.0, "maximised": 0.0}
_UP = {"terms": 1.0, "known": 1.0, "maximised": 1.0}
PASSES = (_case("perfect_oracle", [_DOWN] * 4), _case("one_of_two", [{**_DOWN, "maximised": 1.0}] * 4))
FAILS = (
    _case("negated", [_UP] * 4, "maximised", 1, subjects=["NllLoss"], over=False, step=3),
    _case("both_directions", [{**_DOWN, "maximised": 2.0}] * 3, "maximised"),
    _case("not_a_number", [{**_DOWN, "maximised": float("nan")}] * 3),
)
