"""epoch_order_changes: rows come in another order in every epoch."""

from __future__ import annotations

from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.finding import Fact, Finding, Status
from lvmcheck.checks.watch._watched import Cases, Watched
from lvmcheck.run.events import Watch


@dataclass(frozen=True, kw_only=True)
class EpochOrderChanges(Watched):
    """The first batch of an epoch does not hold the same rows in the same order as that of the epoch before, twice
    in a row.

    Why:
    With one order for all epochs the last batches of an epoch always have the last word, and gradients of
    neighbouring rows stay correlated.

    Usual causes:
    - shuffle=True is missing.
    - sampler.set_epoch(epoch) is missing: every epoch draws the same permutation.
    - The random seed is set at the start of every epoch.

    Fix:
    shuffle=True; sampler.set_epoch(epoch) under DistributedSampler; seed once.

    Healthy runs that must pass:
    One batch for the whole data; a sampler of one's own, such as a curriculum; text that is read in order by a
    recurrent model, and other data where order is meant.
    """

    event = "epoch_order"
    streak = 2
    mild = True

    def look(self, event: Watch) -> Finding | None:
        if event.values.get("meant"):
            return None
        return Finding(
            code="same_order",
            measured=event.values.get("same"),
            bounds=(ceiling(0.5),),
            evidence=(Fact("rows", event.values.get("rows")), Fact("steps_per_epoch", event.values.get("steps"))),
            phrase="share of rows in the same position as in the previous epoch {measured}",
        )


_case = Cases(EpochOrderChanges())
PASSES = (
    _case("perfect_oracle", [{"same": 0.0, "rows": 32, "steps": 16}] * 3),
    _case("a_repeated_row", [{"same": 0.1, "rows": 32, "steps": 16}] * 3),
)
FAILS = (
    _case("never_shuffled", [{"same": 1.0, "rows": 32, "steps": 16}] * 2, "same_order", 1.0, status=Status.WARNING),
    _case("not_a_number", [{"same": float("nan"), "rows": 32, "steps": 16}] * 2, status=Status.WARNING),
)
