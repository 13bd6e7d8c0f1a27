"""reversed_filter: Grokfast with its sign turned."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import Fact
from lvmcheck.checks.optimizer._probed import median, stated
from lvmcheck.checks.optimizer.filter_is_low_pass import KEY
from lvmcheck.checks.shared import language_cases as language

REVERSED = -0.01
"""A gain below this has the wrong sign; around 0 the filter is not there at all."""


class ReversedFilter(Cause):
    """The gradient filter is a high-pass: it amplifies what changes and damps what is learned slowly."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("filter_is_low_pass")
        gain = median(stated(evidence.run, KEY)) if finding else math.nan
        if finding is None or not gain < REVERSED:
            return None
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase="the gradient filter is reversed: it damps the slow gradient, with a median gain of {median_gain}",
            evidence=(Fact("median_gain", gain), *finding.evidence),
            explains=frozenset({"filter_is_low_pass"}),
            ruled_out=evidence.ruled_out(
                {"effective_lr_matches_config": "wrong learning rates", "update_orthogonal": "wrong updates"}
            ),
            fix="add lambda times the running mean of the gradient to it",
            next="lvmcheck explain filter_is_low_pass",
        )


def _gain(*values: float) -> CauseCase:
    run = language.probed("learning_rates", *({KEY: value} for value in values))
    return case(f"gain_{values[-1]:g}", run)


PASSES = (_gain(0.3, 0.3), _gain(0.0, 0.0), _gain(0.3, math.nan))
FAILS = (_gain(-0.3, -0.3), _gain(0.0, -2.0, -2.0))
