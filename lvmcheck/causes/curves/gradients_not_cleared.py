"""gradients_not_cleared: gradients add up step by step."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import coded, found, train_facts
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.causes.watch._measured import Rule, lasting
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.watch._watched import case_run


class GradientsNotCleared(Cause):
    """Gradients add up over steps: zero_grad() is missing. Watched, they are seen to; else their norm grows with the
    steps, whatever the loss does.
    """

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return _seen(self, evidence) or self._grown(evidence)

    def _grown(self, evidence: Evidence) -> Diagnosis | None:
        finding = coded(evidence, "gradient_norm_grows", *CODES)
        diverged = finding is not None and finding.code == CODES[0] and evidence.failed("loss_diverging") is not None
        if finding is None or diverged:
            return None
        return found(
            self,
            Standing.LIKELY,
            "the gradient norm grows as a sum over steps would ({metric_growth} its early level)",
            (Fact("metric_growth", finding.measured, "x"), *finding_facts(finding), *train_facts(evidence.run)),
            fix="call optimizer.zero_grad() in every step, or say how many batches are accumulated",
            explain="gradient_norm_grows",
            explains=("nothing_learned", "loss_diverging", "overfits"),
            also=("exploding_gradient",),
            tell_apart="print(next(model.parameters()).grad) before backward(): it must be None or 0",
        )


def _seen(cause: Cause, evidence: Evidence) -> Diagnosis | None:
    return Rule(
        checks=("gradients_cleared",),
        explains=("gradient_norm_steady", "gradient_norm_grows"),
        phrase="gradients are not cleared between steps",
        fix="call optimizer.zero_grad() once per step, before the first backward pass",
    ).diagnosis(cause.name(), evidence)


CODES = ("grows_in_a_line", "grows_against_the_loss", "grows_beside_a_still_loss")


PASSES = (
    case("bounded", made.window_run(made.lines(40, 2.3, 0.4), grad_norms=[1.0] * 40)),
    case("cleared", case_run("leftover", [{"share": 0.0, "norm": 1.0}] * 2)),
    case("explodes", made.window_run([2.3] * 40, grad_norms=[1.5**i for i in range(40)])),
)
_SEEN = case("seen", case_run("leftover", [{"share": 0.8, "norm": 1.0}] * 2), Standing.MEASURED)
FAILS = (
    _SEEN,
    lasting(_SEEN),
    case("adds_up", made.window_run(wave(2.3, 0.02, 40), grad_norms=made.lines(40, 0.0, 400.0))),
    case(
        "grows_while_the_loss_vanishes",
        made.window_run(made.lines(60, 1.4, 1.3, 0.9, 0.05, 0.01), grad_norms=made.lines(60, 0.3, 1.2, 2.0, 9.0, 14.0)),
        Standing.LIKELY,
    ),
)
