"""scheduler_drives_optimizer: the scheduler that is stepped belongs to the optimizer that trains."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class SchedulerDrivesOptimizer(Watched):
    """No scheduler of an optimizer that another one took the place of is stepped between that and the next
    replacement.

    Why:
    An optimizer that is made anew in each epoch has the rate of its beginning, and none of the moments it had. The
    scheduler goes on changing the rate of the first one, which trains nothing.

    Usual causes:
    - The optimizer is made inside of the loop over epochs, and the scheduler before it.
    - The optimizer was made again after the model was moved or unfrozen, and the scheduler was not.

    Fix:
    Make optimizer and scheduler once; use add_param_group for what is unfrozen later.

    Healthy runs that must pass:
    Phases with an optimizer and a scheduler of their own; an optimizer that is made again without a scheduler.
    """

    event = "stale_scheduler"

    def look(self, event: Watch) -> Finding:
        return Finding(
            code="stale",
            measured=event.values.get("steps"),
            bounds=(equal(0),),
            evidence=(Fact("replaced", event.values.get("replaced")),),
            phrase="the scheduler of an optimizer that was replaced was stepped {measured} times since",
        )


_case = Cases(SchedulerDrivesOptimizer())
PASSES = (
    _case("perfect_oracle", [{"steps": 0, "replaced": 1}]),
    _case("phases", [{"steps": 0, "replaced": n} for n in (1, 2, 3)]),
)
FAILS = (
    _case("made_in_the_loop", [{"steps": n, "replaced": n} for n in (0, 1)], "stale", 1, step=2, replaced=1),
    _case("stepped_per_batch", [{"steps": 40, "replaced": 2}], "stale", 40, over=False),
    _case("not_a_number", [{"steps": float("nan"), "replaced": 2}]),
)
