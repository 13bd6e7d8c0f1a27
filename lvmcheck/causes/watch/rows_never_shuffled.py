"""rows_never_shuffled: every epoch has the same order."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, Rule, lasting
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.events import Watch


class RowsNeverShuffled(Cause):
    """Every epoch has the same order."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        if any(e.name == "rank_rows" and e.values.get("same", 1.0) <= 0.5 for e in evidence.run.of(Watch)):
            return None  # ranks with rows of their own have a sampler: ranks_epoch_never_set
        return Rule(
            checks=("epoch_order_changes", "rows_reshuffled"),
            codes=("same_order", "same_course"),
            explains=("epoch_pattern",),
            phrase="every epoch has the same order of rows",
            fix=(
                "shuffle=True; sampler.set_epoch(epoch) under DistributedSampler; set the random seed "
                "once, before the loop"
            ),
        ).diagnosis(self.name(), evidence)


PASSES = (
    case("shuffled", case_run("epoch_order", [{"same": 0.0, "rows": 32, "steps": 16}] * 2)),
    UNWATCHED,
)
_FAILS = (case("same", case_run("epoch_order", [{"same": 1.0, "rows": 32, "steps": 16}] * 2), Standing.MEASURED),)
FAILS = (*_FAILS, lasting(_FAILS[0]))
