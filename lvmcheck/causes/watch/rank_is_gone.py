"""rank_is_gone: one rank ended before the others."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RankIsGone(Cause):
    """One rank ended before the others."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ranks_reach_the_end",),
            explains=("run_completed",),
            phrase="another rank had ended, or stood still elsewhere, when rank 0 failed",
            fix="read that rank's output; give all ranks as many batches, and let them stop together (rec.stop)",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(
        name="well",
        run=case_run(
            "rank_ends", [{"rank": 1.0, "behind": 0.0, "failed": 0.0, "ended": 1.0, "gone": 0.0, "rank_0_failed": 0.0}]
        ),
    ),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="measured",
        run=case_run(
            "rank_ends", [{"rank": 1.0, "behind": 3.0, "failed": 0.0, "ended": 0.0, "gone": 1.0, "rank_0_failed": 1.0}]
        ),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
