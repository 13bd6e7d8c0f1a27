"""not_measured: a 0 in the log stands for what was never computed."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import run_from

NEVER_ZERO = ("train_loss_info", "train_loss_info_nce", "train_loss_ce", "train_loss_variance", "train_loss_moment")
"""Terms that a model cannot bring to exactly 0 in every epoch of a run."""
LEAST = 3
"""Epochs that must agree: a term may be exactly 0 once."""


class NotMeasured(Cause):
    """A loss term is exactly 0 in every epoch: it was not computed, and 0 was logged in its place."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        run = evidence.run
        silent = [name for name in NEVER_ZERO if len(run.series(name)) >= LEAST and not run.series(name).values.any()]
        if not silent:
            return None
        count = len(run.series(silent[0]))
        return Diagnosis(
            name=self.name(),
            standing=Standing.CONSISTENT,
            phrase="{terms}: 0 was logged for what was not computed",
            evidence=(Fact("terms", ", ".join(silent)), Fact("epochs_of_0", count, "epochs")),
            tell_apart="log the raw value: chance is 2 ln(batch) for InfoNCE, so exactly 0 in every epoch is not "
            "reached",
            fix="leave out of the log what was not computed; a check on a metric that is absent says so",
            next="lvmcheck explain loss_ledger",
        )


_MSE = (0.00118, 0.00105, 0.00104, 0.00104)
PASSES = (
    case(
        "amn_584k_watches_infonce",
        run_from({"train_loss": _MSE, "train_loss_info": [1.33, 1.326, 1.327, 1.323]}, config={"loss": made.PURE}),
    ),
    case("two_epochs", {"train_loss": _MSE[:2], "train_loss_info": [0.0, 0.0]}),
    case("perfect_mse", {"train_loss": [0.0] * 4, "train_loss_mse": [0.0] * 4}),
)
FAILS = (
    case(
        "infonce_0",
        run_from(
            {"train_loss": _MSE, "train_loss_mse": _MSE, "train_loss_info": [0.0] * 4}, config={"loss": made.PURE}
        ),
        terms="train_loss_info",
        epochs_of_0=4,
    ),
    case("variance_0", {"train_loss": _MSE, "train_loss_variance": [0.0] * 4}, terms="train_loss_variance"),
)
