"""stage_changes_data: each stage of a curriculum trains on other records than the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lvmcheck.checks.finding import Finding, Outcome, error, failed, not_applicable, passed
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case, Check
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
    stage 3" has another cause. The ancestors designed 6, 10 and 14 data sets; 8 were not available offline and were
    silently skipped, so that stage 3 was stage 2, and its "difficulty" was then blamed for a divergence.

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
    facts B4 and C 60 of the ancestors (stage 3 = stage 2).
    """

    universal = True
    metric_fields = ()

    def judge(self, run: Run) -> Outcome:
        stages = run.of(ev.Stage)
        planned = _planned(run)
        pairs = list(pairwise(stages))
        same = next(((i, pair) for i, pair in enumerate(pairs, 1) if pair[0].fingerprint == pair[1].fingerprint), None)
        if same is not None:
            return failed(_finding(*same[1]), evaluated=same[0])
        if not complete(run):
            return awaiting(run, "every stage of the curriculum", evaluated=len(pairs))
        if len(stages) < planned:
            return error(f"{len(stages)} of {planned} planned stages began: the curriculum was not carried out")
        if not pairs:
            return not_applicable("the run has no second stage" if stages else "the run has no stages")
        return passed(_finding(*pairs[-1]), evaluated=len(pairs))


def _planned(run: Run) -> int:
    curriculum = run.config.get("curriculum")
    return len(curriculum) if isinstance(curriculum, Sequence) and not isinstance(curriculum, str) else 0


def _finding(before: ev.Stage, after: ev.Stage) -> Finding:
    same = before.fingerprint == after.fingerprint
    return Finding(
        what=f"records of stage {after.index + 1} ({after.name})",
        measured=f"the same as those of stage {before.index + 1}" if same else "others than those before",
        wanted="other records in each stage",
        epoch=after.epoch,
        step=after.step,
        evidence=(
            f"stage {before.index + 1} ({before.name}): {_said(before.records)}",
            f"stage {after.index + 1} ({after.name}): {_said(after.records)}, fingerprint {after.fingerprint[:12]}",
        ),
    )


def _said(records: Mapping[str, object]) -> str:
    parts = [f"{name} {figure(value)}" for name, value in records.items() if isinstance(value, int | float)]
    return ", ".join(parts) or "no records stated"


def _run(*prints: str, planned: int | None = None, over: bool = True) -> Run:
    said: list[ev.Event] = [ev.Begin()]
    for i, fingerprint in enumerate(prints):
        records = {"arithmetic": 3000, "recall": 1000 * i}
        stage = ev.Stage(
            index=i, name=f"part {i + 1}", epoch=i + 1, step=100 * i, fingerprint=fingerprint, records=records
        )
        said += [stage, ev.Epoch(epoch=i + 1, step=100 * (i + 1), metrics={"val_loss": 2.0 - 0.1 * i})]
    info = {"config": {"curriculum": [{"epochs": 1}] * (planned or len(prints))}}
    return Run(events=tuple(said), info=info, done={"status": "finished"} if over else None)


_CHECK = StageChangesData()
PASSES: Sequence[Case] = (
    made.case("perfect_oracle", _CHECK, _run("a" * 64, "b" * 64, "c" * 64)),
    made.case("back_to_the_first", _CHECK, _run("a" * 64, "b" * 64, "a" * 64)),
)
FAILS: Sequence[Case] = (
    made.case(
        "stage_3_is_stage_2",
        _CHECK,
        _run("a" * 64, "b" * 64, "b" * 64, over=False),
        ("stage 3 (part 3)", "the same as those of stage 2"),
    ),
    made.case("all_the_same", _CHECK, _run("a" * 64, "a" * 64), ("epoch 2, step 100",)),
)
