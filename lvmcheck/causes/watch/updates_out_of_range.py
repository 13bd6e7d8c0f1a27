"""updates_out_of_range: updates are far too large or too small for the weights."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, Rule
from lvmcheck.checks.watch._watched import case_run


class UpdatesOutOfRange(Cause):
    """Updates are far too large or too small for the weights."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        size, weights = evidence.failed("update_size"), evidence.failed("weights_keep_size")
        small, shrunk = size is not None and size.code == "too_small", weights is not None and weights.code == "decayed"
        large = (size is not None and not small) or evidence.failed("first_updates_small") is not None
        large = large or (weights is not None and not shrunk)
        alike = ("learning_rate_too_high", "wrong_scale") if large else ("learning_rate_too_low",) if small else ()
        alike = (*alike, *(("weight_decay_destroys",) if shrunk else ()))
        return Rule(
            also=alike,
            tell_apart="compute the loss of one batch by hand: a multiple is its scale, else it is the rate"
            if large
            else "print the weights' norm after 100 steps without weight decay"
            if shrunk
            else "lr *= 10 for 200 steps: if the loss falls it was the rate"
            if small
            else "",
            checks=("update_size", "weights_keep_size", "first_updates_small", "parts_keep_pace", "epsilon_small"),
            standing=Standing.LIKELY,
            after=("graph_cut", "loss_not_computed", "loss_sign", "learning_rate_too_high", "learning_rate_zero"),
            explains=("gradient_norm_steady", "learns_slowly", "units_alive", "gradient_reaches"),
            phrase="the updates are out of proportion to the weights",
            fix=(
                "change the learning rate by the factor that brings the ratio of update to weight near "
                "0.001; look at weight decay"
            ),
        ).diagnosis(self.name(), evidence)


PASSES = (
    case(
        "ordinary",
        case_run("update_ratio", [{"median": 1e-3, "lowest": 1e-4, "highest": 1e-2, "share_of_rate": 1.0}] * 10),
    ),
    UNWATCHED,
)
FAILS = (
    case(
        "too_large",
        case_run("update_ratio", [{"median": 2.0, "lowest": 1e-4, "highest": 9.0, "share_of_rate": 1.0}] * 10),
        Standing.LIKELY,
    ),
    case("grown", case_run("weights", [{"lowest": 1.0, "highest": 50.0}] * 3, ["a", "b"]), Standing.LIKELY),
)
