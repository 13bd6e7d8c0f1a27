"""gradient_reaches: every trainable parameter gets a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding, Outcome, Status, warning
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class GradientReaches(Watched):
    """Every trainable parameter in the optimizer has a gradient other than zero in one of any five measured steps in
    a row.

    Why:
    A head under no_grad, a detached output, a layer that the forward pass skips: it is never trained, and the loss
    falls all the same, because the rest adapts.

    Usual causes:
    - The output of the part is detached, or computed under no_grad or inference_mode.
    - forward does not call it, or its result is not used in the loss.
    - An operation without a gradient (argmax, round, .item(), .data) lies between.
    - All units behind it are dead.
    - Its part of the loss is multiplied by 0.
    - Two factors of a product both begin at zero: each has the other as its gradient.

    Fix:
    Follow the output of the named module to the loss; remove detach, no_grad and operations without a gradient.

    Healthy runs that must pass:
    A parameter of no layer, and the pooler of an encoder, which nobody may need (warned of); biases before a norm,
    whose gradient is zero by construction; frozen layers; heads that take turns within five measured steps.
    """

    event = "gradient_reach"

    def decide_on(self, run: Run, events: Sequence[Watch]) -> Outcome:
        """Parameters that may just not be needed are warned of."""
        outcome = super().decide_on(run, events)
        finding = outcome.finding
        unused = finding is not None and finding.code == "unused"
        return warning(finding, evaluated=outcome.evaluated) if finding is not None and unused else outcome

    def look(self, event: Watch) -> Finding:
        none, zero = event.values.get("none", float("nan")), event.values.get("zero", float("nan"))
        empty, branch = event.values.get("empty", 0.0), event.values.get("branch", 0.0)
        return Finding(
            code="unused"
            if none and none + zero == event.values.get("unused")
            else "no_gradient"
            if none
            else "all_zero"
            if empty
            else "branch_zero"
            if branch
            else "zero_gradient",
            measured=none + zero,
            bounds=(equal(0),),
            evidence=(
                *names(event),
                Fact("total", event.values.get("parameters")),
                Fact("none", none),
                Fact("zero", zero),
                *((Fact("empty", empty),) if empty else ()),
                *((Fact("branch", branch),) if branch else ()),
            ),
            phrase="{measured} of {total} parameters get no gradient",
        )


_case = Cases(GradientReaches())
_SAMPLE = {"parameters": 6.0, "none": 0.0, "zero": 0.0}
PASSES = (_case("perfect_oracle", [_SAMPLE] * 5), _case("one_sample", [_SAMPLE]))
FAILS = (
    _case(
        "detached_branch",
        [_SAMPLE, {**_SAMPLE, "none": 2}],
        "no_gradient",
        2,
        subjects=["aux.weight", "aux.bias"],
        step=2,
        parameters="aux.weight, aux.bias",
    ),
    _case(
        "option_that_is_off",
        [{**_SAMPLE, "none": 1, "unused": 1}],
        "unused",
        1,
        subjects=["scale"],
        status=Status.WARNING,
    ),
    _case("dead_layer", [{**_SAMPLE, "zero": 1}], "zero_gradient", 1, subjects=["0.weight"]),
    _case("both_factors_zero", [{**_SAMPLE, "zero": 2, "empty": 2}], "all_zero", 2, subjects=["a", "b"], empty=2),
    _case(
        "part_multiplied_by_zero",
        [{**_SAMPLE, "zero": 4, "branch": 4}],
        "branch_zero",
        4,
        subjects=["a.0.weight", "a.2.weight"],
        branch=4,
    ),
    _case("not_a_number", [{**_SAMPLE, "zero": float("nan")}]),
)
