"""broken_orthogonalisation: Muon's iteration does not orthogonalise."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.optimizer._probed import median, stated
from lvmcheck.checks.optimizer.update_orthogonal import GRADIENT, KEY
from lvmcheck.checks.shared import language_cases as language


class BrokenOrthogonalisation(Cause):
    """The update of hidden matrices is called orthogonal and is not: Newton-Schulz does not converge."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("update_orthogonal")
        error = median(stated(evidence.run, KEY)) if finding else math.nan
        if finding is None or not math.isfinite(error):
            return None
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase="updates of hidden matrices are not orthogonal (median error {median_error}): wrong Newton-Schulz",
            evidence=(Fact("median_error", error), *finding.evidence),
            explains=frozenset({"update_orthogonal"}),
            ruled_out=evidence.ruled_out(
                {"effective_lr_matches_config": "wrong learning rates", "filter_is_low_pass": "a reversed filter"}
            ),
            fix="X <- a X + (b A + c A A) X with A = X X^T, on the wide side of X, after dividing by its norm; five "
            "steps leave singular values between 0.7 and 1.2",
            next="lvmcheck explain update_orthogonal",
        )


def _error(*values: float) -> CauseCase:
    probes = ({KEY: v, GRADIENT: 0.8} for v in values)
    return case(f"error_{values[-1]:g}", language.probed("learning_rates", *probes))


PASSES = (_error(0.13, 0.15), _error(0.2, math.nan))
FAILS = (_error(0.72, 0.7), _error(0.5, 0.6, 0.55))
