"""stays_trainable: no parameter is frozen after training began."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, warning
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class StaysTrainable(Watched):
    """No parameter that was trainable at the first measured step, or later, has requires_grad=False over five measured
    steps. It is a warning where the optimizer let go of them as well, or a key of the config speaks of freezing.

    Why:
    A part that is frozen by the way (in a helper, a callback, a toggle that is not undone) stops learning without a
    trace.

    Usual causes:
    - requires_grad_(False) on a module for one pass, never undone.
    - A call that freezes more than it names.
    - Gradual unfreezing that was run backwards.

    Fix:
    Set requires_grad before the optimizer is made, or undo it after the pass it was meant for.

    Healthy runs that must pass:
    Layers frozen before the first step; freezing for one pass of an adversarial step; layers unfrozen later.
    """

    event = "freezing"

    def judge(self, run: Run) -> Outcome:
        outcome = super().judge(run)
        finding = outcome.finding
        if outcome.status is not Status.FAILED or finding is None:
            return outcome
        held = finding.fact("held")
        released = held is not None and held.value == 0
        asked = any("freez" in str(key).lower() or "frozen" in str(key).lower() for key in run.config)
        return warning(finding, evaluated=outcome.evaluated) if released or asked else outcome

    def look(self, event: Watch) -> Finding:
        held = (Fact("held", event.values["held"]),) if "held" in event.values else ()
        return Finding(
            code="frozen",
            measured=event.values.get("frozen_since"),
            bounds=(equal(0),),
            evidence=(*names(event), Fact("trainable", event.values.get("trainable")), *held),
            phrase="{measured} parameters frozen since training began ({trainable} still trainable)",
        )


_case = Cases(StaysTrainable())
PASSES = (
    _case("perfect_oracle", [{"trainable": 4, "frozen_since": 0}] * 2),
    _case("unfrozen_later", [{"trainable": n, "frozen_since": 0} for n in (2, 4)]),
)
FAILS = (
    _case(
        "never_unfrozen",
        [{"trainable": 2, "frozen_since": 2}],
        "frozen",
        2,
        subjects=["head.weight", "head.bias"],
        status=Status.FAILED,
        parameters="head.weight, head.bias",
    ),
    _case(
        "released_by_the_optimizer",
        [{"trainable": 2, "frozen_since": 2, "held": 0}],
        "frozen",
        2,
        subjects=["head.weight", "head.bias"],
        status=Status.WARNING,
    ),
    _case("not_a_number", [{"trainable": 2, "frozen_since": float("nan")}]),
)
