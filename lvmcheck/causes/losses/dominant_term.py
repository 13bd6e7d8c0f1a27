"""dominant_term: one loss term drowns the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import cases as made
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from


class DominantTerm(Cause):
    """One loss term has so much more gradient than the others that they are not optimised at all."""

    reads_loss = True

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("loss_balance")
        measured = None if finding is None else finding.measured
        if finding is None or not isinstance(measured, float) or math.isnan(measured):
            return None
        if evidence.failed("finite") is not None:
            return None
        by_gradient = any("times the gradient norm" in sentence for sentence in finding.evidence)
        return Diagnosis(
            name=self.name(),
            sentence=finding.evidence[0] if finding.evidence else finding.sentence(),
            evidence=(*_mean_direction(evidence), *_below_constant(evidence), finding.sentence()),
            ruled_out=evidence.ruled_out(
                {
                    "finite": "numerical trouble",
                    "not_diverging": "divergence",
                    "generalisation_gap": "memorisation",
                }
            ),
            fix="train the main loss alone first; then add the other term with a hundredth of the main gradient norm",
            next="lvmcheck explain loss_balance",
            score=0.95 if by_gradient else 0.85,
        )


def _mean_direction(evidence: Evidence) -> tuple[str, ...]:
    """What InfoNCE loses: the direction that all targets share, to which it is blind."""
    got, wanted = evidence.last("val_mean_direction"), evidence.last("val_target_mean_direction")
    if got is None or wanted is None or not got < 0.8 * wanted:
        return ()
    return (
        f"predictions lost the common mean direction of the targets: cosine with it {got:.3f}, that of the targets "
        f"{wanted:.3f}; a contrastive loss is blind to whatever all targets share",
    )


def _below_constant(evidence: Evidence) -> tuple[str, ...]:
    constant = evidence.run.facts.get("constant_mean")
    for metric in ("val_cosine", "train_cosine"):
        value = evidence.last(metric)
        if value is not None and isinstance(constant, int | float) and value < constant:
            return (f"{metric.replace('_', ' ')} {value:.3f} is below a constant prediction ({constant:.3f})",)
    return ()


_LOSS = {"mse": 0.5, "info": 0.5}
_EPOCH_1 = {"train_loss": [0.69797], "train_loss_mse": [0.0020154], "train_loss_info": [1.3939], "val_cosine": [0.2664]}


def _lost_direction() -> Run:
    said = {**_EPOCH_1, "val_mean_direction": [0.11], "val_target_mean_direction": [0.48]}
    return made.with_facts(run_from(said, config={"loss": _LOSS}, over=False), {"constant_mean": 0.48})


def _gradients(ratio: float) -> Run:
    norms = {step: {"mse": 0.01, "info_nce": 0.01 * ratio} for step in range(100, 600, 100)}
    terms = {"mse": (0.5, [0.002] * 11), "info_nce": (0.5, [1.394] * 11)}
    return made.window_run([0.698] * 11, terms=terms, gradients=norms, per_epoch=20, over=False)


PASSES: Sequence[CauseCase] = (
    CauseCase(name="amn_584k", run=made.val_run(made.AMN_584K_VAL)),
    CauseCase(name="balanced", run=_gradients(5.0)),
    CauseCase(name="empty", run=Run(events=(ev.Begin(),))),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="attempt_2_with_gradients",
        run=_gradients(388.0),
        says=("InfoNCE dominates the loss", "388 times", "not: numerical trouble"),
    ),
    CauseCase(
        name="attempt_2_history",
        run=_lost_direction(),
        says=("InfoNCE holds 99.9 %", "lost the common mean direction", "below a constant prediction"),
    ),
)
