"""ranks_epoch_never_set: the distributed sampler gives the same order in every epoch."""

from __future__ import annotations

from dataclasses import replace

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, Rule, lasting
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.events import Watch
from lvmcheck.run.view import Run

OWN = 0.5


class RanksEpochNeverSet(Cause):
    """The distributed sampler gives the same order in every epoch: set_epoch is not called, or shuffle is off."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        shares = [e.values.get("same", 1.0) for e in evidence.run.of(Watch) if e.name == "rank_rows"]
        if not shares or max(shares) > OWN:
            return None  # without rows of their own ranks have no distributed sampler
        return Rule(
            checks=("epoch_order_changes", "rows_reshuffled"),
            codes=("same_order", "same_course"),
            explains=("epoch_pattern", "random_state_advances"),
            phrase="ranks read their own rows in one order in every epoch: set_epoch is not called, or shuffle is off",
            fix="DistributedSampler(data, shuffle=True), and sampler.set_epoch(epoch) before every epoch",
        ).diagnosis(self.name(), evidence)


def _run(same: float, of_ranks: str = "rank_rows") -> Run:
    ranks = case_run(of_ranks, [{"ranks": 2.0, "same": 0.0}])
    order = case_run("epoch_order", [{"same": same, "rows": 32, "steps": 16}] * 2)
    return replace(order, events=(*ranks.events, *order.events))


PASSES = (case("set", _run(0.0)), case("one_process", _run(1.0, "models")), UNWATCHED)
_FAILS = (case("never", _run(1.0), Standing.MEASURED),)
FAILS = (*_FAILS, lasting(_FAILS[0]))
