"""broken_orthogonalisation: Muon's iteration does not orthogonalise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.cause import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks import _language_cases as language


class BrokenOrthogonalisation(Cause):
    """The update of hidden matrices is called orthogonal and is not: Newton-Schulz does not converge."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("update_orthogonal")
        error = None if finding is None else finding.measured
        if finding is None or not isinstance(error, float) or not math.isfinite(error):
            return None
        raw = _raw(evidence)
        return Diagnosis(
            name=self.name(),
            sentence=f"updates of hidden matrices are not orthogonal (error {error:.3f}): Newton-Schulz is wrong",
            evidence=(
                finding.sentence(),
                *finding.evidence,
                *([f"the gradient itself has an error of {raw:.3f}"] if raw is not None else []),
                "five steps of the quintic leave singular values between 0.7 and 1.2",
            ),
            ruled_out=evidence.ruled_out(
                {"effective_lr_matches_config": "wrong learning rates", "filter_is_low_pass": "a reversed filter"}
            ),
            fix="X <- a X + (b A + c A A) X with A = X X^T, on the wide side of X, after dividing by its norm",
            next="lvmcheck explain update_orthogonal",
            score=0.88,
        )


def _raw(evidence: Evidence) -> float | None:
    """The same error of the gradient, in the last probe that states it."""
    key = "hidden/gradient_orthogonality_error"
    said = [probe.values[key] for probe in evidence.run.probes("learning_rates") if key in probe.values]
    return said[-1] if said else None


def _error(*values: float) -> CauseCase:
    probes = ({"hidden/orthogonality_error": v, "hidden/gradient_orthogonality_error": 0.8} for v in values)
    return CauseCase(name=f"error_{values[-1]:g}", run=language.probed("learning_rates", *probes))


PASSES: Sequence[CauseCase] = (_error(0.13, 0.15), _error(0.2, math.nan))
FAILS: Sequence[CauseCase] = (_error(0.72, 0.7), _error(0.5, 0.6, 0.55))
