"""weights_stay_tied: weights that are tied stay tied."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched, names
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class WeightsStayTied(Watched):
    """Parameters with several names when watching began are still one parameter at every measured step, and no
    output layer has the values of an embedding in storage of its own.

    Why:
    Weights that are tied by a copy, or parted by a load or an assignment, drift apart: twice the parameters, and
    another model than the one that was meant.

    Usual causes:
    - head.weight = nn.Parameter(embedding.weight.clone()), or .data.copy_, instead of head.weight = embedding.weight.
    - A later assignment, deepcopy of a part or load_state_dict(assign=True).
    - to_empty or a conversion that makes new parameters.

    Fix:
    Assign the parameter itself (head.weight = embedding.weight) after everything that replaces parameters.

    Healthy runs that must pass:
    Weights tied on purpose; models without ties; a target network that starts as a copy.
    """

    event = "ties"

    def look(self, event: Watch) -> Finding:
        untied, copied = event.values.get("untied", float("nan")), event.values.get("copied", float("nan"))
        return Finding(
            code="copied" if copied else "untied",
            measured=untied + copied,
            bounds=(equal(0),),
            evidence=(*names(event), Fact("tied", event.values.get("tied"))),
            phrase="{parameters} has the values of an embedding and does not share its storage"
            if copied and event.subjects
            else "{measured} ties of weights broken",
        )


_case = Cases(WeightsStayTied())
_TIES = {"tied": 1.0, "untied": 0.0, "copied": 0.0}
PASSES = (_case("perfect_oracle", [_TIES] * 2), _case("none_to_hold", [{**_TIES, "tied": 0}]))
FAILS = (
    _case("parted", [_TIES, {**_TIES, "untied": 1}], "untied", 1, subjects=["embed.weight"], step=2),
    _case("tied_by_a_copy", [{**_TIES, "copied": 1}], "copied", 1, subjects=["head.weight"]),
    _case("not_a_number", [{**_TIES, "untied": float("nan")}]),
)
