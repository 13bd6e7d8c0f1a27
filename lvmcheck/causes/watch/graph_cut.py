"""graph_cut: the graph between parameters and loss is cut."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class GraphCut(Cause):
    """The graph between parameters and loss is cut."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("gradient_reaches", "loss_uses_output"),
            codes=("no_gradient",),
            probes=("gradients:no_gradient", "loss_depends_on_model:detached"),
            phrase="the graph between these parameters and the loss is cut",
            fix=("remove detach, no_grad, .data and .item between them and the loss, and see that forward uses them"),
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="whole", run=case_run("gradient_reach", [{"parameters": 4, "none": 0, "zero": 0}])),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="detached",
        run=case_run("gradient_reach", [{"parameters": 4, "none": 2, "zero": 0}], ["aux.weight", "aux.bias"]),
        standing=Standing.MEASURED,
    ),
    CauseCase(
        name="loss_of_a_detached_output",
        run=case_run("output_gradient", [{"forwards": 1, "reached": 0}] * 3),
        standing=Standing.MEASURED,
    ),
)
