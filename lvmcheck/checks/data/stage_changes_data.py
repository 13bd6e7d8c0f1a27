"""stage_changes_data: each stage of a curriculum trains on other records than the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from lvmcheck.checks.finding import Finding, Outcome, facts, failed, not_applicable, not_recorded, passed
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared.epochs import awaiting, complete
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class StageChangesData(Check):
    """No stage of a curriculum has the fingerprint of the stage before it, and every planned stage begins.

    The fingerprint is taken over exactly the records of a stage. Planned are the entries of `curriculum` in the run's
    configuration.

    Why:
    A curriculum whose stages are the same data is one long stage with three names, and whatever happens "because of
    stage 3" has another cause. The original project planned 6, 10 and 14 data sets; 8 were not available offline and
    were skipped without an error, so that stage 3 was stage 2, and its "difficulty" was blamed for a divergence.

    Usual causes:
    - Data sets that the stage would add are missing and skipped.
    - A difficulty limit that every record is below, or that is never applied.
    - The loader is built once, before the first stage.

    Fix:
    Print the number of records of each set by stage. Make a missing data set an error, and choose difficulty limits
    from the measured distribution.

    Healthy runs that must pass:
    Stages with the same number of records that are other records; a return to an earlier stage's data after another
    one.

    Source:
    docs/history.md (stage 3 = stage 2).
    """

    universal = True
    metric_fields = ()
    exempt: ClassVar[Mapping[str, str]] = {"nan": "compares fingerprints"}

    def judge(self, run: Run) -> Outcome:
        stages = run.of(ev.Stage)
        planned = _planned(run)
        pairs = list(pairwise(stages))
        same = next(((i, pair) for i, pair in enumerate(pairs, 1) if pair[0].fingerprint == pair[1].fingerprint), None)
        if same is not None:
            return failed(_finding(*same[1]), evaluated=same[0])
        if not complete(run) and (stages or planned or not run.over):
            return awaiting(run, "every stage of the curriculum", evaluated=len(pairs))
        if len(stages) < planned:
            return not_recorded(f"{len(stages)} of {planned} planned stages are recorded")
        if not pairs:
            return not_applicable("the run has no second stage" if stages else "the run has no stages")
        return passed(_finding(*pairs[-1]), evaluated=len(pairs))


def _planned(run: Run) -> int:
    curriculum = run.config.get("curriculum")
    return len(curriculum) if isinstance(curriculum, Sequence) and not isinstance(curriculum, str) else 0


def _finding(before: ev.Stage, after: ev.Stage) -> Finding:
    same = before.fingerprint == after.fingerprint
    counts = {f"records_{name}": v for name, v in after.records.items() if isinstance(v, int | float)}
    return Finding(
        code="same_records" if same else "other_records",
        measured=after.fingerprint[:12],
        epoch=after.epoch,
        step=after.step,
        evidence=facts(counts, stage=after.index + 1, stage_name=after.name, previous=before.index + 1),
        phrase="stage {stage} ({stage_name}) has the records of stage {previous}"
        if same
        else "stage {stage} ({stage_name}) has other records than stage {previous}",
    )


def _run(*prints: str, planned: int | None = None, over: bool = True) -> Run:
    events: list[ev.Event] = [ev.Begin()]
    for i, fingerprint in enumerate(prints):
        records = {"arithmetic": 3000, "recall": 1000 * i}
        stage = ev.Stage(
            index=i, name=f"part {i + 1}", epoch=i + 1, step=100 * i, fingerprint=fingerprint, records=records
        )
        events += [stage, ev.Epoch(epoch=i + 1, step=100 * (i + 1), metrics={"val_loss": 2.0 - 0.1 * i})]
    info = {"config": {"curriculum": [{"epochs": 1}] * (planned or len(prints))}}
    return Run(events=tuple(events), info=info, done={"status": "finished"} if over else None)


_case = made.Cases(StageChangesData())
PASSES = (
    _case("perfect_oracle", _run("a" * 64, "b" * 64, "c" * 64)),
    _case("back_to_the_first", _run("a" * 64, "b" * 64, "a" * 64)),
)
FAILS = (
    _case(
        "stage_3_is_stage_2",
        _run("a" * 64, "b" * 64, "b" * 64, over=False),
        "same_records",
        epoch=3,
        stage=3,
        stage_name="part 3",
        previous=2,
    ),
    _case("all_the_same", _run("a" * 64, "a" * 64), "same_records", epoch=2, step=100),
)
