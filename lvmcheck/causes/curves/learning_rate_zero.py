"""learning_rate_zero: no step moves a weight, because the learning rate is 0."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import found
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import rates, wave
from lvmcheck.checks.shared import cases as made


class LearningRateZero(Cause):
    """Every recorded learning rate is 0: no weight can move, whatever the gradients are."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("learning_rate_zero")
        if finding is None:
            return None
        return found(
            self,
            Standing.MEASURED,
            "the learning rate is 0 in all of {values} recorded values",
            finding_facts(finding),
            fix="look for a warm-up longer than the run, an integer division in the schedule, or a scheduler that "
            "was loaded "
            "at its end",
            explain="learning_rate_zero",
            explains=("nothing_learned", "metric_constant", "loss_diverging", "overfits", "memorises"),
        )


PASSES = (
    case("warm_up", rates([0.0, 1e-3, 1e-3, 0.0])),
    case("not_recorded", made.window_run([2.3] * 20)),
)
FAILS = (
    case("always_zero", rates([0.0] * 20), Standing.MEASURED),
    case("by_epoch", {"loss": wave(2.0, 0.02), "lr": [0.0] * 20}),
)
