"""parts_keep_pace: no part of the model is updated by a vanishing share while the rest learns."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch

LEAST, OF_REST = 1e-7, 1e-3
RATE = 0.1
"""Share of the highest learning rate so far, below which a step does not count."""


@dataclass(frozen=True, kw_only=True)
class PartsKeepPace(Watched):
    """Of no part of the model (a group of the optimizer within a child of the model) the largest ratio of update to
    weight is below 1e-7 and a thousandth of that of the rest, in ten measured steps in a row.

    Why:
    Below 1e-7 a float32 weight hardly changes. A part that stands still beside one that learns is a feature extractor
    that nobody meant: the loss falls by the rest.

    Usual causes:
    - A learning rate of a group that is many orders too small, or was divided twice.
    - A schedule that multiplies the groups by factors of their own.
    - Gradients that vanish on the way to that part.

    Fix:
    Print the learning rate of every group of the optimizer; raise that of the part until its ratio is near 1e-3.

    Healthy runs that must pass:
    Layer-wise rates that fall by a constant factor; fine-tuning; parts that are frozen, or in a group with rate 0;
    warm-up; layers that begin at zero.
    """

    event = "update_parts"
    streak = 10

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("share_of_rate", 1.0) < RATE:
            return None
        slowest, rest = of.get("slowest", float("nan")), of.get("rest", 0.0)
        return Finding(
            code="stands_still",
            measured=slowest,
            bounds=(floor(min(LEAST, OF_REST * rest)),),
            evidence=(Fact("rest", rest), *names(event, "part")),
            phrase="updates of {part} are {measured} of its weights, those of the rest {rest}",
        )


_case = Cases(PartsKeepPace())
_EVEN = {"slowest": 1e-3, "rest": 2e-3, "share_of_rate": 1.0}
_STILL = {"slowest": 3e-8, "rest": 2e-3, "share_of_rate": 1.0}
PASSES = (
    _case("perfect_oracle", [_EVEN] * 10, subjects=["body"]),
    _case("layer_wise_rates", [{**_EVEN, "slowest": 2e-6}] * 12, subjects=["body"]),
    _case("all_are_slow", [{**_STILL, "rest": 1e-6}] * 12, subjects=["body"]),
)
FAILS = (
    _case("rate_of_the_body_tiny", [_STILL] * 10, "stands_still", 3e-8, subjects=["body"], step=10),
    _case("not_a_number", [{**_STILL, "slowest": float("nan")}] * 10, subjects=["body"]),
)
