"""checkpoint_is_copy: what is loaded into the model is a copy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch

MOST = 0.5


@dataclass(frozen=True, kw_only=True)
class CheckpointIsCopy(Watched):
    """A state that is loaded into the watched model after its first step does not consist of the live parameters of
    that model themselves.

    Why:
    best = model.state_dict() holds references: when it is loaded, the best weights are those of the last step.

    Usual causes:
    - model.state_dict() without a copy.
    - copy.copy, or dict(...), of a state: the tensors are still the same.

    Fix:
    copy.deepcopy(model.state_dict()), or torch.save.

    Healthy runs that must pass:
    A checkpoint that was copied or read from a file; weights that another model shares.

    Source:
    This project's list of checks: checkpoint.
    """

    event = "loaded"

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if not of.get("tensors", 0.0):
            return None
        return Finding(
            code="live_weights",
            measured=of.get("aliased", math.nan) / of["tensors"],
            bounds=(ceiling(MOST),),
            evidence=(Fact("parameters", of["tensors"]),),
            phrase="share of the loaded tensors that alias the live weights {measured}",
        )


_case = Cases(CheckpointIsCopy())
_COPY = {"tensors": 10.0, "aliased": 0.0}
PASSES = (_case("perfect_oracle", [_COPY]), _case("a_shared_table", [{**_COPY, "aliased": 1.0}]))
FAILS = (
    _case("a_reference", [{**_COPY, "aliased": 10.0}], "live_weights", 1.0, over=False),
    _case("not_a_number", [{**_COPY, "aliased": math.nan}]),
)
