"""module_makes_nan: a module, a weight or a backward pass makes a NaN or an infinity."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, Rule, lasting
from lvmcheck.checks.watch._watched import case_run, watched

LARGE = 1.0
"""Update over weight in the middle matrix: weights that were replaced by a step make the numbers that overflow."""


class ModuleMakesNan(Cause):
    """A module, a weight or a backward pass makes a NaN or an infinity."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        bad = evidence.failed("first_non_finite")
        until = bad.step if bad is not None and bad.step is not None else 0
        updates = [e for e in watched(evidence.run, "update_ratio") if e.step < until]
        away = evidence.failed("loss_diverging")
        grown = any(event.values.get("median", 0.0) > LARGE for event in updates)
        return Rule(
            after=(
                *(("updates_out_of_range", "learning_rate_too_high", "weight_decay_destroys") if grown else ()),
                *(("loss_sign",) if away is not None and away.code == "runs_away" else ()),
            ),
            checks=("first_non_finite",),
            explains=("finite",),
            probes=("gradients:not_finite", "outputs_in_range:not_finite", "loss_depends_on_model:not_finite"),
            phrase="the first NaN or infinity appears at the named place",
            fix=(
                "look at the inputs of the named module on the batch of that step; clamp, add an epsilon,"
                " or compute it in float32"
            ),
        ).diagnosis(self.name(), evidence)


PASSES = (
    case("finite", case_run("finite", [{"parameters": 0, "modules": 0, "gradients": 0, "values": 9}])),
    UNWATCHED,
)
_FAILS = (
    case(
        "log",
        case_run("finite", [{"parameters": 0, "modules": 1, "gradients": 4, "values": 9}], ["head.log"]),
        Standing.MEASURED,
    ),
)
FAILS = (*_FAILS, lasting(_FAILS[0]))
