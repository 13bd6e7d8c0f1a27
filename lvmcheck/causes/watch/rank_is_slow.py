"""rank_is_slow: one rank makes the others wait."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RankIsSlow(Cause):
    """One rank makes the others wait."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ranks_keep_pace",),
            phrase="one rank takes longer in every step, and the others wait for it",
            fix="look at that rank's loader first (num_workers), then at its device and at the length of its rows",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="well", run=case_run("rank_pace", [{"ranks": 2.0, "rank": 1.0, "slower": 1.0, "share": 0.3}] * 3)),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="measured",
        run=case_run("rank_pace", [{"ranks": 2.0, "rank": 1.0, "slower": 5.0, "share": 0.5}] * 3),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
