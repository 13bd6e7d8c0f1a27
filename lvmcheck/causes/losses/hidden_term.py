"""hidden_term: the loss contains a term that is not logged."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import run_from

SMALL = 0.01
"""Share of the loss below which a hidden term is not the likely cause of a failed run."""


class HiddenTerm(Cause):
    """The optimised loss is not the sum of its declared terms: something else is optimised too."""

    reads_loss = True

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("loss_ledger")
        if finding is None or finding.code != "hidden_remainder" or not math.isfinite(finding.number):
            return None
        rest = finding.fact("hidden_remainder")
        below = rest is not None and isinstance(rest.value, float) and rest.value < 0
        return Diagnosis(
            name=self.name(),
            # A large hidden share explains a failure; a small one is a defect beside another cause.
            standing=Standing.LIKELY if finding.number >= SMALL else Standing.CONSISTENT,
            phrase="the loss is not the sum of its logged terms: it lies below it, {hidden_share} apart"
            if below
            else "the loss contains a term that is not logged, {hidden_share} of it",
            evidence=(*facts(unit="%", hidden_share=100 * finding.number), *finding.evidence),
            explains=frozenset({"loss_ledger"}),
            ruled_out=evidence.ruled_out({"finite": "numerical problems", "loss_balance": "a dominant declared term"}),
            fix="build the loss from the very terms that are logged, and give every weight in the config",
            next="lvmcheck explain loss_ledger",
            also=("other_term_weight", "loss_not_computed") if below else (),
            tell_apart="compute each logged term and the loss from one batch by hand" if below else "",
        )


_LOSS = (0.0021568, 0.0020218, 0.0020162, 0.0020137)
_MSE = (0.0011822, 0.0010459, 0.0010400, 0.0010374)

PASSES = (
    case(
        "declared_term_that_is_not_added",
        made.window_run([1.0, 0.5], terms={"mse": (1.0, [1.0, 0.5]), "aux": (0.5, [0.2, 0.3])}, ledger_error=None),
    ),
    case("amn_584k", run_from({"train_loss": _MSE, "train_loss_mse": _MSE}, config={"loss": made.PURE})),
    case("not_a_number", run_from({"train_loss": [math.nan], "train_loss_mse": [0.001]}, config={"loss": made.PURE})),
)
FAILS = (
    case(
        "attempt_1",
        run_from({"train_loss": _LOSS, "train_loss_mse": _MSE}, config={"loss": made.PURE}),
        Standing.LIKELY,
        hidden_share=45.19,
        variance_hinge_weight=0.001,
    ),
    case(
        "constant_0.04",
        made.window_run([0.3] * 10, terms={"ce": (1.0, [0.26] * 10)}, ledger_error=0.133),
        hidden_share=13.3,
        constant=True,
    ),
    case(
        "a_thousandth",
        made.window_run([0.3] * 10, terms={"ce": (1.0, [0.2997] * 10)}, ledger_error=0.001),
        Standing.CONSISTENT,
    ),
)
