"""weights_go_on: what training made of the weights stays, and they do not go back to where they began."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class WeightsGoOn(Watched):
    """At the beginning of three epochs in a row no module that moved in the epoch before holds exactly the weights that
    it began that epoch with, while one and the same optimizer trains it.

    Why:
    Weights that are loaded inside of the loop are trained for one epoch at a time. The loss falls again and again, and
    what the run saves is the result of its last epoch alone.

    Usual causes:
    - load_state_dict, or the model itself, stands inside of the loop over epochs.
    - A checkpoint of the beginning is restored after each evaluation.

    Fix:
    Load weights once, before the first epoch.

    Healthy runs that must pass:
    Folds and restarts with an optimizer of their own; an epoch that is undone because it made things worse; frozen
    parts.
    """

    event = "weights_back"
    streak = 3

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="back",
            measured=event.values.get("back"),
            bounds=(equal(0),),
            evidence=(*names(event, "modules"), Fact("moved", event.values.get("moved"))),
            phrase="{modules}: the weights at the beginning of this epoch are again those of the one before"
            if event.subjects
            else "{measured} of {moved} modules hold the weights of the epoch before again",
        )


_case = Cases(WeightsGoOn())
_ON = {"moved": 3.0, "back": 0.0}
PASSES = (
    _case("perfect_oracle", [_ON] * 3),
    _case("restored_twice", [_ON, *[{**_ON, "back": 1.0}] * 2, _ON, _ON]),
)
FAILS = (
    _case("loaded_in_the_loop", [{**_ON, "back": 1.0}] * 3, "back", 1, step=3, subjects=["body"], modules="body"),
    _case("all_of_it", [_ON, *[{**_ON, "back": 3.0}] * 3], "back", 3, over=False),
    _case("not_a_number", [{**_ON, "back": float("nan")}] * 3),
)
