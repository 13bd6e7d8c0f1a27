"""random_state_advances: epochs do not all draw the same random numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lvmcheck.checks.bounds import equal
from lvmcheck.checks.finding import Fact, Finding
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class RandomStateAdvances(Watched):
    """The generator of torch is not, two epochs in a row, in the state in which an earlier epoch began, though numbers
    are drawn from it in an epoch; nor does a loader that shuffles begin it with the rows of the epoch before.

    Why:
    With one seed for every epoch, augmentation, dropout and order are the same each time: nothing new is seen.

    Usual causes:
    - torch.manual_seed is called at the start of every epoch.
    - sampler.set_epoch(epoch) is missing under DistributedSampler.
    - The evaluation sets a seed, and training goes on from it.

    Fix:
    Seed once before the loop; where an evaluation needs a seed, use a generator of its own or torch.random.fork_rng.

    Healthy runs that must pass:
    Loops that draw nothing; a seed that differs from epoch to epoch.

    Source:
    This project's list of checks: augment_frozen.
    """

    event = "generator"
    streak = 2
    needs = 8

    def look(self, event: Watch) -> Finding | None:
        of = event.values
        if of.get("drawn") == 0:
            return None
        return Finding(
            code="begins_anew",
            measured=of.get("same"),
            bounds=(equal(0),),
            evidence=(Fact("drawn", of.get("drawn")),),
            phrase="epochs that start with the random state of an earlier epoch: {measured}",
        )


_case = Cases(RandomStateAdvances())
_ON = {"same": 0.0, "drawn": 1.0}
PASSES = (_case("perfect_oracle", [_ON] * 3), _case("once", [_ON, {**_ON, "same": 1.0}, _ON]))
FAILS = (
    _case("seeded_every_epoch", [{**_ON, "same": 1.0}] * 2, "begins_anew", 1.0, over=False),
    _case("not_a_number", [{**_ON, "same": math.nan}] * 2),
)
