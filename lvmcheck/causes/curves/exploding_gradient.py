"""exploding_gradient: gradients are far too large."""

from __future__ import annotations

import numpy as np

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import coded, found, gradient_facts
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run


class ExplodingGradient(Cause):
    """The gradient norm grows by orders of magnitude, or is in the hundreds while nothing is learned."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = coded(evidence, "gradient_norm_grows", "grows")
        if finding is None:
            finding = evidence.failed("nothing_learned") if _large(evidence.run) else None
        if finding is None or coded(evidence, "loss_diverging", "runs_away") is not None:
            return None
        return found(
            self,
            Standing.LIKELY,
            "the gradient is far too large",
            (*gradient_facts(evidence.run), *finding_facts(finding)),
            fix="clip by the global norm, and print the norm of each layer to see where it grows; look at the scale of "
            "recurrent weights and of the loss",
            explain="gradient_norm_grows",
            explains=("nothing_learned", "grad_norm_bounded"),
            also=("learning_rate_too_high", "diverging"),
            tell_apart="print the gradient norm of each layer in the first step: large at once is the model, later "
            "the rate",
        )


LARGE = 100.0
"""Median gradient norm above which a run that learns nothing is suspected of it."""


def _large(run: Run) -> bool:
    norm, train = run.curves.gradient, run.curves.train
    if norm is None or len(norm) < 4 or train is None or not len(train):
        return False
    return float(np.median(norm.values)) > LARGE * max(1.0, float(np.median(np.abs(train.values))))


PASSES = (
    case("bounded", made.window_run(made.lines(40, 2.3, 0.4), grad_norms=[1.0] * 40)),
    case("large_and_learns", made.window_run(made.lines(40, 2.3, 0.4), grad_norms=[2000.0] * 40)),
)
FAILS = (
    case("grows", made.window_run(wave(2.3, 0.02, 40), grad_norms=[1.5**i for i in range(40)])),
    case("in_the_thousands", made.window_run(wave(1.39, 0.02, 40), grad_norms=[2500.0] * 40)),
)
