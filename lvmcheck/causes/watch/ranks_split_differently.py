"""ranks_split_differently: every rank draws a split of its own."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class RanksSplitDifferently(Cause):
    """Every rank draws a split of its own."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("ranks_split_alike",),
            phrase="every rank draws its own split, so that the weights have seen the validation rows",
            fix="random_split(data, sizes, generator=torch.Generator().manual_seed(seed)), with one seed for all ranks",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="well", run=case_run("rank_split", [{"ranks": 2.0, "leaked": 0.0, "own": 0.0}])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="measured",
        run=case_run("rank_split", [{"ranks": 2.0, "leaked": 0.5, "own": 0.0}]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
