"""missing_data_sets: data sets that the configuration names are not among the data."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


class MissingDataSets(Cause):
    """Data sets are missing and were skipped without an error: the run uses other data than its configuration."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("datasets_present")
        if finding is None:
            return None
        same = evidence.failed("stage_changes_data")
        stage = same.evidence if same else ()
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase="data sets were skipped without an error: {missing}",
            evidence=(*finding.evidence, *(fact for fact in stage if fact.name in ("stage", "stage_name", "previous"))),
            explains=frozenset({"datasets_present", "stage_changes_data"}),
            ruled_out=evidence.ruled_out({"val_disjoint_from_train": "a leaked split", "finite": "numerical problems"}),
            fix="fetch the sets or take them out of the configuration; let the loader raise on a set it cannot serve",
            next="lvmcheck explain datasets_present",
        )


_SETS: dict[str, ev.Value] = {"arithmetic": 3000, "recall": 3000}


def _run(missing: list[str], stages: str = "") -> Run:
    run = language.data({"sets": _SETS, "missing": missing})
    events = [
        ev.Stage(index=i, name=f"part {i + 1}", epoch=i + 1, step=0, fingerprint=mark * 64, records=_SETS)
        for i, mark in enumerate(stages)
    ]
    return run.extended(events)


PASSES = (case("all_there", _run([])), case("nothing_stated", language.data({"sets": _SETS})))
FAILS = (
    case("skipped", _run(["mbpp", "hellaswag"]), Standing.MEASURED, missing="mbpp, hellaswag", records_arithmetic=3000),
    case("stage_3_is_stage_2", _run(["mbpp"], "abb"), missing="mbpp", stage=3),
)
