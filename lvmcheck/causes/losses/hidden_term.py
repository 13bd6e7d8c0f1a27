"""hidden_term: the loss contains a term that nobody logs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import run_from


class HiddenTerm(Cause):
    """The optimised loss is not the sum of its declared terms: something else is optimised too."""

    reads_loss = True

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("loss_ledger")
        measured = None if finding is None else finding.measured
        if finding is None or not isinstance(measured, float) or not math.isfinite(measured):
            return None
        return Diagnosis(
            name=self.name(),
            sentence=f"the loss contains a term that is not logged, {100 * measured:.2g} % of it",
            evidence=(*finding.evidence, finding.sentence()),
            ruled_out=evidence.ruled_out({"finite": "numerical trouble", "loss_balance": "a dominant declared term"}),
            fix="build the loss from the very terms that are logged, and give every weight in the config",
            next="lvmcheck explain loss_ledger",
            # A large hidden share explains a failure; a tiny one is a defect beside another cause.
            score=min(0.9, 0.3 + measured),
        )


_LOSS = (0.0021568, 0.0020218, 0.0020162, 0.0020137)
_MSE = (0.0011822, 0.0010459, 0.0010400, 0.0010374)

PASSES: Sequence[CauseCase] = (
    CauseCase(name="amn_584k", run=run_from({"train_loss": _MSE, "train_loss_mse": _MSE}, config={"loss": made.PURE})),
    CauseCase(
        name="not_a_number",
        run=run_from({"train_loss": [math.nan], "train_loss_mse": [0.001]}, config={"loss": made.PURE}),
    ),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="attempt_1",
        run=run_from({"train_loss": _LOSS, "train_loss_mse": _MSE}, config={"loss": made.PURE}),
        says=("45 % of it", "variance hinge of weight 0.001"),
    ),
    CauseCase(
        name="constant_0.04",
        run=made.window_run([0.3] * 10, terms={"ce": (1.0, [0.26] * 10)}, ledger_error=0.133),
        says=("13 % of it", "a constant"),
    ),
)
