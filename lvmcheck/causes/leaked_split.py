"""leaked_split: validation windows were seen in training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.cause import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.data import _gate_cases as gates


class LeakedSplit(Cause):
    """Validation chunks stand in training windows: the validation metrics measure memory."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("split_disjoint")
        measured = None if finding is None else finding.measured
        if finding is None or not isinstance(measured, float) or not math.isfinite(measured):
            return None
        drawn = evidence.run.facts.get("split") == "random"
        said = ["windows were drawn at random: nearly every target stands in a training window"] if drawn else []
        return Diagnosis(
            name=self.name(),
            sentence="the split leaks: validation was seen in training",
            evidence=(finding.sentence(), *finding.evidence, *said),
            ruled_out=evidence.ruled_out({"lag_profile": "a scrambled order", "finite": "numerical trouble"}),
            fix="split by article before windows are made, after duplicates were removed; discard the validation "
            "figures",
            next="lvmcheck explain split_disjoint",
            score=0.8,
        )


PASSES: Sequence[CauseCase] = (
    CauseCase(name="wikitext", run=gates.run()),
    CauseCase(name="twin", run=gates.run(facts=gates.TWIN)),
    CauseCase(name="not_a_number", run=gates.run({"leak": math.nan})),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(
        name="random_windows",
        run=gates.run({"split": "random", "leak": 0.998, "gate.split.near_share": 0.998}),
        says=("leaks", "0.9980", "drawn at random"),
    ),
    CauseCase(
        name="near_duplicates", run=gates.run({"gate.split.near_share": 0.513}), says=("near-duplicate", "0.513")
    ),
    CauseCase(name="shared_articles", run=gates.run({"gate.split.shared_articles": 40}), says=("both sides", "40")),
)
