"""gradients_not_cleared: gradients add up step by step."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.curves._signs import coded, found, train_facts
from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.shared import cases as made


class GradientsNotCleared(Cause):
    """The gradient norm grows with the steps, whatever the loss does: zero_grad() is missing."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
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


CODES = ("grows_in_a_line", "grows_against_the_loss", "grows_beside_a_still_loss")


PASSES: Sequence[CauseCase] = (
    CauseCase(name="bounded", run=made.window_run(made.lines(40, 2.3, 0.4), grad_norms=[1.0] * 40)),
    CauseCase(name="explodes", run=made.window_run([2.3] * 40, grad_norms=[1.5**i for i in range(40)])),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="adds_up", run=made.window_run(wave(2.3, 0.02, 40), grad_norms=made.lines(40, 0.0, 400.0))),
    CauseCase(
        name="grows_while_the_loss_vanishes",
        run=made.window_run(
            made.lines(60, 1.4, 1.3, 0.9, 0.05, 0.01), grad_norms=made.lines(60, 0.3, 1.2, 2.0, 9.0, 14.0)
        ),
        standing=Standing.LIKELY,
    ),
)
