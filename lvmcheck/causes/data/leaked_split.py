"""leaked_split: validation windows were seen in training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.data import _gate_cases as gates
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run.view import Run

FIXES = {
    "split_disjoint": "split by article before windows are made, after duplicates were removed; discard the validation "
    "figures",
    "val_disjoint_from_train": "hold out questions before anything else is done; discard the validation figures",
}
"""What says that validation was trained on, and what to do about it."""


class LeakedSplit(Cause):
    """Validation was trained on, as windows of vectors or as records of text: its metrics measure memory."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        use = next((use for use in FIXES if _shown(evidence.failed(use))), None)
        finding = None if use is None else evidence.failed(use)
        if use is None or finding is None:
            return None
        drawn = evidence.run.facts.get("split") == "random"
        said = ["windows were drawn at random: nearly every target stands in a training window"] if drawn else []
        return Diagnosis(
            name=self.name(),
            sentence="the split leaks: validation was seen in training",
            evidence=(finding.sentence(), *finding.evidence, *said),
            ruled_out=evidence.ruled_out(
                {
                    "lag_profile": "a scrambled order",
                    "causal": "a label leak, which looks as good",
                    "finite": "numerical trouble",
                }
            ),
            fix=FIXES[use],
            next=f"lvmcheck explain {use}",
            score=0.8 if use == "split_disjoint" else 0.94,
        )


def _shown(finding: Finding | None) -> bool:
    """Whether a check found shared windows or records, and not a NaN or a validation set that is not there."""
    measured = None if finding is None else finding.measured
    return isinstance(measured, int | float) and math.isfinite(measured) and measured > 0


def _records(overlap: float, val: int = 500) -> Run:
    return language.data({"val_overlap": overlap, "train_records": 9000, "val_records": val})


PASSES: Sequence[CauseCase] = (
    CauseCase(name="wikitext", run=gates.run()),
    CauseCase(name="twin", run=gates.run(facts=gates.TWIN)),
    CauseCase(name="not_a_number", run=gates.run({"leak": math.nan})),
    CauseCase(name="questions_held_out", run=_records(0.0)),
    CauseCase(name="records_not_a_number", run=_records(math.nan)),
    CauseCase(name="no_validation_records", run=_records(0.0, val=0)),
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
    CauseCase(name="validation_is_the_training_set", run=_records(1.0), says=("seen in training", "9,000 training")),
    CauseCase(name="shared_articles", run=gates.run({"gate.split.shared_articles": 40}), says=("both sides", "40")),
)
