"""updates_rounded_away: the optimizer's updates do not change the weights."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, Rule, lasting
from lvmcheck.checks.watch._watched import case_run


class UpdatesRoundedAway(Cause):
    """The optimizer's updates do not change the weights."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return Rule(
            checks=("updates_survive_rounding", "parameters_move"),
            explains=("learns_slowly", "nothing_learned", "metric_constant"),
            standing=Standing.LIKELY if evidence.failed("updates_survive_rounding") is None else Standing.MEASURED,
            after=("module_makes_nan", "updates_out_of_range", "learning_rate_too_high"),
            phrase="updates are lost to rounding, or undone",
            fix=("keep the weights in float32 (autocast casts for you), and look at what else writes to them"),
        ).diagnosis(self.name(), evidence)


PASSES = (
    case("moving", case_run("movement", [{"parameters": 4, "unchanged": 0, "learning_rate": 1e-3}])),
    UNWATCHED,
)
_FAILS = (
    case(
        "half_precision",
        case_run("rounding", [{"share": 0.9, "elements": 400.0}] * 10),
        Standing.MEASURED,
        rounded_away=0.9,
    ),
    case(
        "rounded",
        case_run("movement", [{"parameters": 4, "unchanged": 2, "learning_rate": 1e-5}], ["0.weight"]),
        Standing.LIKELY,
    ),
)
FAILS = (*_FAILS, lasting(_FAILS[0]))
