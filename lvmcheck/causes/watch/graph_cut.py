"""graph_cut: the graph between parameters and loss is cut."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import KILLERS, UNWATCHED, Rule, lost_gradient
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.watch._watched import case_run


class GraphCut(Cause):
    """The graph between parameters and loss is cut."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        reach = evidence.failed("gradient_reaches")
        by_zero = reach is not None and reach.code == "branch_zero"
        if reach is not None and by_zero and _after_weights_grew(reach, evidence):
            return None
        return Rule(
            checks=("gradient_reaches", "loss_uses_output"),
            codes=("branch_zero",) if by_zero else ("no_gradient",),
            explains=("units_alive", "parts_keep_pace") if by_zero else (),
            standing=Standing.LIKELY if by_zero else Standing.MEASURED,
            probes=() if by_zero else ("gradients:no_gradient", "loss_depends_on_model:detached"),
            phrase="the loss does not change with this part of the model: its output is not used, or is multiplied by 0"
            if by_zero
            else "the autograd graph between these parameters and the loss is cut",
            fix="look for a weight of 0, a mask that is all 0, and an output that is computed and not used"
            if by_zero
            else "remove detach, no_grad, .data and .item between them and the loss, and see that forward uses them",
            also=("loss_term_detached", "units_dead") if by_zero else (),
            after=KILLERS if by_zero and lost_gradient(evidence) else (),
            tell_apart="print the weight of each term and the output of the named part for one batch"
            if by_zero
            else "",
        ).diagnosis(self.name(), evidence)


def _after_weights_grew(reach: Finding, evidence: Evidence) -> bool:
    """Whether units may have died of weights that were thrown away before."""
    grown = evidence.failed("weights_keep_size")
    before = grown is not None and grown.step is not None and reach.step is not None and grown.step <= reach.step
    return before and grown is not None and grown.code != "decayed"


PASSES = (
    case("whole", case_run("gradient_reach", [{"parameters": 4, "none": 0, "zero": 0}])),
    UNWATCHED,
)
FAILS = (
    case(
        "detached",
        case_run("gradient_reach", [{"parameters": 4, "none": 2, "zero": 0}], ["aux.weight", "aux.bias"]),
        Standing.MEASURED,
    ),
    case(
        "weight_of_zero",
        case_run("gradient_reach", [{"parameters": 4, "none": 0, "zero": 2, "branch": 2}], ["aux.weight"]),
        Standing.LIKELY,
        branch=2,
    ),
    case(
        "loss_of_a_detached_output", case_run("output_gradient", [{"forwards": 1, "reached": 0}] * 3), Standing.MEASURED
    ),
)
