"""stage_changes_nothing: a stage of the curriculum is the stage before it."""

from __future__ import annotations

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, Diagnosis, Evidence, Standing
from lvmcheck.checks.finding import facts
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


class StageChangesNothing(Cause):
    """A curriculum stage trains on the records of the stage before: what is blamed on it has another cause."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("stage_changes_data")
        if finding is None:
            return None
        return Diagnosis(
            name=self.name(),
            standing=Standing.MEASURED,
            phrase="stage {stage} ({stage_name}) of the curriculum has the records of stage {previous}",
            evidence=(*finding.evidence, *facts(stages_begun=len(evidence.run.of(ev.Stage)))),
            explains=frozenset({"stage_changes_data"}),
            ruled_out=evidence.ruled_out({"datasets_present": "data sets that are missing"}),
            fix="choose the stage's sets or its limit of difficulty so that its records differ; print records by stage",
            next="lvmcheck explain stage_changes_data",
        )


def _run(stages: str, missing: list[str] | None = None) -> Run:
    run = language.data({"sets": {"arithmetic": 3000}, "missing": missing or []})
    return run.extended(
        ev.Stage(index=i, name=f"part {i + 1}", epoch=i + 1, step=50 * i, fingerprint=mark * 64)
        for i, mark in enumerate(stages)
    )


PASSES = (case("three_that_differ", _run("abc")), case("back_to_the_first", _run("aba")))
FAILS = (
    case("stage_3_is_stage_2", _run("abb"), Standing.MEASURED, stage=3, stage_name="part 3", previous=2),
    case("all_the_same", _run("aa"), stage=2),
)
