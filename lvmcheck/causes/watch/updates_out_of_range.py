"""updates_out_of_range: updates are far too large or too small for the weights."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.causes.watch._measured import UNWATCHED, measured
from lvmcheck.checks.watch._watched import case_run


class UpdatesOutOfRange(Cause):
    """Updates are far too large or too small for the weights."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return measured(
            self,
            evidence,
            checks=("update_size", "weights_keep_size", "first_updates_small", "parts_keep_pace", "epsilon_small"),
            standing=Standing.LIKELY,
            after=("graph_cut", "loss_not_computed", "loss_sign", "learning_rate_too_high", "learning_rate_zero"),
            explains=("gradient_norm_steady", "learns_slowly", "units_alive", "gradient_reaches"),
            phrase="the updates do not fit the size of the weights",
            fix=(
                "change the learning rate by the factor that brings the ratio of update to weight near "
                "0.001; look at weight decay"
            ),
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(
        name="ordinary",
        run=case_run("update_ratio", [{"median": 1e-3, "lowest": 1e-4, "highest": 1e-2, "share_of_rate": 1.0}] * 10),
    ),
    UNWATCHED,
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="too_large",
        run=case_run("update_ratio", [{"median": 2.0, "lowest": 1e-4, "highest": 9.0, "share_of_rate": 1.0}] * 10),
        standing=Standing.LIKELY,
    ),
    CauseCase(
        name="grown",
        run=case_run("weights", [{"lowest": 1.0, "highest": 50.0}] * 3, ["a", "b"]),
        standing=Standing.LIKELY,
    ),
)
