"""optimizer_of_former_model: the optimizer holds parameters of a former or another model in place of this one's."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, lasting, measured
from lvmcheck.checks.watch._watched import case_run


class OptimizerOfFormerModel(Cause):
    """The optimizer holds parameters of a former or another model, of the same shapes as those that it lacks."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("optimizer_holds_this_model",),
            explains=("missing_from_optimizer",),
            probes=("optimizer_coverage:foreign", "optimizer_coverage:replaced"),
            phrase="the optimizer holds parameters of a former or another model in the place of those of this one",
            fix="make the optimizer last, from the parameters of the model that is trained",
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="own", run=case_run("foreign", [{"foreign": 0, "missing": 0, "replaced": 0}])),
    UNWATCHED,
)
_FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="replaced",
        run=case_run("foreign", [{"foreign": 2, "missing": 2, "replaced": 2}]),
        standing=Standing.MEASURED,
    ),
)
FAILS: Sequence[CauseCase] = (*_FAILS, lasting(_FAILS[0]))
