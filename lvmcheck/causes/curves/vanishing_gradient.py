"""vanishing_gradient: gradients are far too small."""

from __future__ import annotations

import numpy as np

from lvmcheck.causes.cases import case
from lvmcheck.causes.curves._signs import coded, found, gradient_facts, training_learns
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.curves._cases import wave
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run


class VanishingGradient(Cause):
    """The gradient norm falls to almost 0 while the loss stays."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = coded(evidence, "gradient_norm_zero", "vanished", "zero_to_the_end")
        if finding is None and _fades(evidence.run):
            finding = evidence.failed("nothing_learned")
        if finding is None or evidence.failed("loss_exactly_zero") is not None:
            return None
        return found(
            self,
            Standing.LIKELY,
            "the gradient vanishes while the loss stays",
            (*gradient_facts(evidence.run), *finding_facts(finding)),
            fix="look at saturated activations, dead units and the scale of the first layers; add normalisation or "
            "residual "
            "connections",
            explain="gradient_norm_zero",
            explains=("nothing_learned",),
            also=("not_learning",),
            tell_apart="print the gradient norm of each layer: 0 in the first layers alone is a vanishing gradient",
        )


FADED = 0.01
"""Share of its first level that a gradient norm keeps where nothing was learned."""


def _fades(run: Run) -> bool:
    norm = run.curves.gradient
    if norm is None or len(norm) < 6 or run.curves.adversarial or training_learns(run):
        return False
    return float(np.median(norm.values[-3:])) < FADED * float(np.median(norm.values[:2]))


PASSES = (
    case("falls_with_the_loss", made.window_run(made.lines(20, 2.0, 0.01), grad_norms=[0.5**i for i in range(20)])),
    case("flat", made.window_run(wave(1.39, 0.02, 40), grad_norms=[0.5] * 40)),
)
FAILS = (
    case("fades", made.window_run(wave(1.39, 0.02, 40), grad_norms=[0.7**i for i in range(40)])),
    case("dies", made.window_run(wave(1.39, 0.02, 40), grad_norms=[1.0] * 20 + [0.0] * 20)),
)
