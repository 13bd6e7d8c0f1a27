"""rows_mix: the output of a row depends on the other rows of its batch."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured, preflight_run
from lvmcheck.checks.watch._watched import case_run


class RowsMix(Cause):
    """The output of a row depends on the other rows of its batch."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("rows_apart",),
            probes=("rows_independent",),
            phrase="the output of a row depends on the other rows of its batch",
            fix="reduce, normalise and attend over features or positions, never over dimension 0; set batch_first=True "
            "where rows come first",
        )


PASSES: Sequence[CauseCase] = (CauseCase(name="other_probe", run=preflight_run("causal:future_seen")), UNWATCHED)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="in_the_loop", run=case_run("row_mixing", [{"change": 0.3, "rows": 13.0}]), standing=Standing.MEASURED
    ),
    CauseCase(
        name="rows_independent_other_rows_seen",
        run=preflight_run("rows_independent:other_rows_seen"),
        standing=Standing.MEASURED,
    ),
)
