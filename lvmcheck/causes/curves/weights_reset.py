"""weights_reset: the model begins anew in every epoch."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._by_code import by_code
from lvmcheck.causes.curves._signs import coded, found, train_facts
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.shared import cases as made

FIX = "make model and optimizer once, before the loop over epochs, and load no checkpoint inside it"
TELL_APART = "print one weight at the end of an epoch and at the beginning of the next"


class WeightsReset(Cause):
    """The training loss returns to its initial level whenever an epoch starts."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = coded(evidence, "epoch_pattern", "begins_anew")
        if finding is None:
            return by_code(self, evidence) or self._no_better_than_one_epoch(evidence)
        return found(
            self,
            Standing.LIKELY,
            "the model begins anew: the loss goes back to its beginning at {resets} of {boundaries} epoch boundaries",
            (*finding.evidence, *train_facts(evidence.run)),
            fix=FIX,
            explain="epoch_pattern",
            explains=("nothing_learned", "loss_diverging", "overfits"),
            also=("data_order",),
            tell_apart=TELL_APART,
        )

    def _no_better_than_one_epoch(self, evidence: Evidence) -> Diagnosis | None:
        finding = coded(evidence, "loss_diverging", "worse_than_the_first_epoch")
        if finding is None:
            return None
        return found(
            self,
            Standing.CONSISTENT,
            "no epoch gets further than the first: the model may begin anew in each",
            (*finding_facts(finding), *train_facts(evidence.run)),
            fix=FIX,
            explain="loss_diverging",
            explains=("nothing_learned", "overfits"),
            also=("learning_rate_too_high", "data_order", "diverging"),
            tell_apart=TELL_APART,
        )


_SAWS = [v + 0.01 * e for e in range(6) for v in (2.0, 1.9, 1.5, 1.2, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5)]
PASSES = (
    case("falls", made.window_run(made.lines(60, 2.0, 0.4))),
    case("amn_584k", made.val_run(made.AMN_584K_VAL)),
)
FAILS = (
    case("six_epochs", made.window_run(_SAWS), Standing.LIKELY, resets=5),
    case("four_epochs", made.window_run(_SAWS[:40])),
)
