"""ranks_read_overlapping_rows: ranks read rows of each other in one epoch."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, Rule, lasting
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.events import Watch


class RanksReadOverlappingRows(Cause):
    """Ranks read rows of each other in one epoch."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        if any(e.name == "rank_rows" and e.values.get("same", 0.0) > 0.5 for e in evidence.run.of(Watch)):
            return None  # the same rows at the same steps: ranks_see_same_rows
        return Rule(
            checks=("ranks_cover_data",),
            codes=("rows_overlap",),
            phrase="ranks read each other's rows in one epoch",
            fix="DistributedSampler(data); inside of an IterableDataset, cut the data by rank and worker",
        ).diagnosis(self.name(), evidence)


PASSES = (
    case("well", case_run("rank_passes", [{"ranks": 2.0, "overlap": 0.0, "seen": 1.0}])),
    UNWATCHED,
)
_FAILS = (case("measured", case_run("rank_passes", [{"ranks": 2.0, "overlap": 1.0, "seen": 1.0}]), Standing.MEASURED),)
FAILS = (*_FAILS, lasting(_FAILS[0]))
