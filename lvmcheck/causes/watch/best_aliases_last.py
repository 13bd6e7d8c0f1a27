"""best_aliases_last: the best checkpoint is a reference to the live weights."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class BestAliasesLast(Cause):
    """The best checkpoint is a reference to the live weights."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("checkpoint_is_copy",),
            explains=("evaluated_weights_are_saved",),
            phrase="what was kept as the best weights is a reference to the live ones",
            fix="best = copy.deepcopy(model.state_dict())",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="healthy", run=case_run("loaded", [{"tensors": 10.0, "aliased": 0.0}])),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="a_reference", run=case_run("loaded", [{"tensors": 10.0, "aliased": 10.0}]), standing=Standing.MEASURED
    ),
    CauseCase(
        name="most",
        run=case_run("loaded", [{"tensors": 10.0, "aliased": 9.0}]),
        standing=Standing.MEASURED,
    ),
)
