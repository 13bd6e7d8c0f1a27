"""trained_normally: the model learned what its data allow; the floor asks for more."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.data import _gate_cases as gates
from lvmcheck.checks.finding import Fact, Status
from lvmcheck.checks.shared import cases as made
from lvmcheck.run.view import Run, run_from

FLOOR = "cosine_floor"
NEAR = 0.02
"""A validation cosine this far below the best linear predictor, or above it, is all that the data gave so far."""


class TrainedNormally(Cause):
    """An absolute floor was missed, and the best linear predictor of the same data misses it, too."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        facts, val = evidence.run.facts, evidence.last("val_cosine")
        linear, mean = facts.get("best_linear"), facts.get("mean_of_context")
        if not isinstance(linear, float) or not isinstance(mean, float) or val is None or not val >= linear - NEAR:
            return None
        floor = evidence.asked(FLOOR)
        missed = floor is not None and floor.status is Status.FAILED
        # Without a floor that was asked for nothing is wrong, unless the data themselves failed their gates.
        if not missed and evidence.failed("lag_profile") is None:
            return None
        return Diagnosis(
            name=self.name(),
            standing=Standing.CONSISTENT,
            phrase="the model trained normally for its data: val cosine {val_cosine}, best linear {best_linear}",
            evidence=(Fact("val_cosine", val), Fact("best_linear", linear), Fact("mean_of_context", mean)),
            explains=frozenset({"cosine_floor"}),
            tell_apart="lvmcheck gate: the data are at fault, or the floor belongs to other data",
            ruled_out=evidence.ruled_out({"finite": "numerical problems", "loss_diverging": "divergence"}),
            fix="look at the data (lvmcheck gate), and set floors relative to their baselines",
            next="lvmcheck explain beats_baselines",
        )


def _run(val: float, mean: float, linear: float, profile: Sequence[float]) -> Run:
    facts = {
        **gates.WIKITEXT,
        "mean_of_context": mean,
        "best_linear": linear,
        "gate.train.lag_profile": list(profile),
        "gate.validation.lag_profile": list(profile),
    }
    return made.with_facts(run_from({"val_cosine": [val - 0.01, val]}), facts)


_POOR = (0.336, 0.310, 0.290, 0.270, 0.255)  # the 790k corpus; lags 2 to 4 interpolated
_GOOD = (0.4569, 0.3869, 0.3649, 0.3515, 0.3399)  # the 584k corpus

PASSES = (
    case("amn_584k", _run(0.5605, 0.524, 0.539, _GOOD)),
    case("poor_data_and_a_poor_model", _run(0.30, 0.426, 0.433, _POOR)),
    case("not_a_number", _run(math.nan, 0.426, 0.433, _POOR)),
)
FAILS = (
    case("attempt_1_on_its_data", _run(0.4607, 0.426, 0.433, _POOR), best_linear=0.433, val_cosine=0.4607),
    case("attempt_3_on_its_data", _run(0.4621, 0.426, 0.433, _POOR), val_cosine=0.4621),
)
