"""leaked_split: validation windows were seen in training."""

from __future__ import annotations

import math

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.data import _gate_cases as gates
from lvmcheck.checks.finding import Finding, facts
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.checks.watch._watched import case_run
from lvmcheck.run.view import Run

FIXES = {
    "split_disjoint": "split by article before windows are made, after duplicates were removed; discard the validation "
    "figures",
    "val_disjoint_from_train": "hold out questions before anything else is done; discard the validation figures",
    "validation_rows_unseen": "split before rows are duplicated or augmented, by group where rows belong together; "
    "discard the validation figures",
    "validation_windows_apart": "split the series by time, leave a gap of one window, and cut windows from each part",
}
"""Checks that find validation data among the training data, and what to do."""
PHRASES = {
    "targets_in_training": "the split leaks: a share of {shared} of the validation targets is in training windows",
    "twins": "the split leaks: a share of {shared} of the validation targets has a twin in training (cosine {cosine})",
    "quotations": "the split leaks: {shared} pairs of articles share passages across it",
    "shared_articles": "the split leaks: {shared} articles are in training and in validation",
    "in_training": "the split leaks: a share of {shared} of the validation rows is trained on",
    "overlapping": "the split leaks: half of a validation window lies in training windows, for a share of {shared}",
    "as_often_as_training": "the split leaks: parts of validation windows are met in training as often as those of "
    "training windows",
    "overlap": "the split leaks: a share of {shared} of the validation records was trained on",
}


class LeakedSplit(Cause):
    """Validation data were trained on: windows of vectors or of a series, records of text, rows of a loop."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        check = next((check for check in FIXES if _shared(evidence.failed(check))), None)
        finding = None if check is None else evidence.failed(check)
        if check is None or finding is None:
            return None
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase=PHRASES.get(finding.code, PHRASES["targets_in_training"]),
            evidence=(*facts(shared=finding.number), *finding.evidence),
            explains=frozenset({*FIXES, "too_good_to_be_true"}),
            ruled_out=evidence.ruled_out(
                {
                    "lag_profile": "a scrambled order",
                    "causal": "a label leak, which looks as good",
                    "finite": "numerical problems",
                }
            ),
            fix=FIXES[check],
            next=f"lvmcheck explain {check}",
        )


def _shared(finding: Finding | None) -> bool:
    """Whether a check measured shared windows or records, and not a NaN or a validation set that is empty."""
    return finding is not None and math.isfinite(finding.number) and finding.number > 0


def _records(overlap: float, val: int = 500) -> Run:
    return language.data({"val_overlap": overlap, "train_records": 9000, "val_records": val})


def _rows(shared: int) -> Run:
    return case_run("leak", [{"rows": 200, "in_train": shared, "train_rows": 800, "repeated": 0.0}])


PASSES = (
    case("wikitext", gates.run()),
    case("twin", gates.run(facts=gates.TWIN)),
    case("a_chapter_quoted", gates.run({"gate.split.twin_shares": [0.0486] * 5})),
    case("rows_apart", _rows(0)),
    case("not_a_number", gates.run({"leak": math.nan})),
    case("questions_held_out", _records(0.0)),
    case("records_not_a_number", _records(math.nan)),
    case("no_validation_records", _records(0.0, val=0)),
)
FAILS = (
    case(
        "random_windows",
        gates.run({"split": "random", "leak": 0.998, "gate.split.twin_shares": [0.998] * 5}),
        Standing.MEASURED,
        shared=0.998,
        split="random",
    ),
    case(
        "rows_copied_under_new_ids",
        gates.run({"gate.split.twin_shares": [0.0268] * 5, "gate.split.twin_pairs": 108}),
        shared=0.0268,
        cosine=0.98,
    ),
    case("validation_is_the_training_set", _records(1.0), shared=1.0, train_records=9000),
    case(
        "windows_that_overlap",
        case_run("window_parts", [{"windows": 100, "met": 90, "reversed": 0, "least": 0.9, "trained": 900}]),
        Standing.MEASURED,
        shared=0.9,
    ),
    case("rows_shared", _rows(100), Standing.MEASURED, shared=0.5),
    case("shared_articles", gates.run({"gate.split.shared_articles": 40}), shared=40),
)
