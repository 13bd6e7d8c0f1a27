"""constant_targets: every row has the same target."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class ConstantTargets(Cause):
    """Every row has the same target."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("targets_vary",),
            explains=("targets_differ_by_row", "loss_exactly_zero", "too_good_to_be_true", "metric_constant"),
            phrase="every row has the same target",
            fix="look at the column and the index that targets come from",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=case_run("loss_target", [{"constant": 0.0}] * 5)),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="one_number",
        run=case_run("loss_target", [{"constant": 1.0, "value": 0.7}] * 5),
        standing=Standing.MEASURED,
    ),
    CauseCase(
        name="for_long", run=case_run("loss_target", [{"constant": 1.0, "value": 0.7}] * 20), standing=Standing.MEASURED
    ),
)
