"""missing_data_sets: data sets that were asked for are not there."""

from __future__ import annotations

from collections.abc import Sequence

from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


class MissingDataSets(Cause):
    """Data sets are missing and were skipped in silence: the run is about other data than its configuration says."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        finding = evidence.failed("datasets_present")
        if finding is None:
            return None
        same = evidence.failed("stage_changes_data")
        return Diagnosis(
            name=self.name(),
            sentence=f"data sets were skipped in silence: {finding.evidence[0]}",
            evidence=(
                finding.sentence(),
                *finding.evidence[1:],
                *((f"so a stage has nothing of its own: {same.sentence()}",) if same else ()),
            ),
            ruled_out=evidence.ruled_out({"val_disjoint_from_train": "a leaked split", "finite": "numerical trouble"}),
            fix="fetch the sets or take them out of the configuration; let the loader raise on a set it cannot serve",
            next="lvmcheck explain datasets_present",
            score=0.95,
        )


_SETS: dict[str, ev.Value] = {"arithmetic": 3000, "recall": 3000}


def _run(missing: list[str], stages: str = "") -> Run:
    run = language.data({"sets": _SETS, "missing": missing})
    said = [
        ev.Stage(index=i, name=f"part {i + 1}", epoch=i + 1, step=0, fingerprint=mark * 64, records=_SETS)
        for i, mark in enumerate(stages)
    ]
    return run.extended(said)


PASSES: Sequence[CauseCase] = (
    CauseCase(name="all_there", run=_run([])),
    CauseCase(name="nothing_stated", run=language.data({"sets": _SETS})),
)
FAILS: Sequence[CauseCase] = (
    CauseCase(name="skipped", run=_run(["mbpp", "hellaswag"]), says=("missing: mbpp, hellaswag", "arithmetic 3,000")),
    CauseCase(name="stage_3_is_stage_2", run=_run(["mbpp"], "abb"), says=("missing: mbpp", "nothing of its own")),
)
