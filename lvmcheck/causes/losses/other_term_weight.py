"""other_term_weight: a declared term has another weight in the loss than declared, or is not in it."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import facts
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import run_from

SMALL = 0.01
"""Share of the loss below which a wrong weight is not the likely cause of a failed run."""


class OtherTermWeight(Cause):
    """A declared loss term is optimised with another weight than declared, or not at all."""

    reads_loss = True

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("loss_ledger")
        if finding is None or finding.code not in ("other_weight", "term_not_in_loss"):
            return None
        if not math.isfinite(finding.number):
            return None
        absent = finding.code == "term_not_in_loss"
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED if finding.number >= SMALL else Standing.CONSISTENT,
            phrase="the declared loss term {term} is not in the loss"
            if absent
            else "the loss holds {times_weight} times the declared weight of {term}",
            evidence=(*finding.evidence, *facts(difference_from_declared=finding.number)),
            explains=frozenset({"loss_ledger", "declared_terms_in_graph"} if absent else {"loss_ledger"}),
            ruled_out=evidence.ruled_out({"finite": "numerical problems"}),
            fix="compute the loss as the sum of weight * term over the dictionary of terms that is logged",
            next="lvmcheck explain loss_ledger",
        )


_TERMS = {"train_loss_mse": [1.0, 0.5], "train_loss_aux": [1.0, 0.6]}
_CONFIG = {"loss": {"mse": 1.0, "aux": 1.0}}
PASSES = (
    case("balanced", run_from({"train_loss": [2.0, 1.1], **_TERMS}, config=_CONFIG)),
    case("hidden_constant", run_from({"train_loss": [2.3, 1.4], **_TERMS}, config=_CONFIG)),
    case("not_a_number", run_from({"train_loss": [math.nan, 1.1], **_TERMS}, config=_CONFIG)),
)
FAILS = (
    case(
        "twice_the_weight",
        run_from({"train_loss": [3.0, 1.7], **_TERMS}, config=_CONFIG),
        Standing.MEASURED,
        term="aux",
        times_weight=2.0,
    ),
    case(
        "never_added",
        made.window_run([1.0, 0.5], terms={"mse": (1.0, [1.0, 0.5]), "aux": (0.5, [0.2, 0.3])}, ledger_error=None),
        Standing.MEASURED,
        term="aux",
        times_weight=0.0,
    ),
)
