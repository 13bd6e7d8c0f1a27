"""datasets_present: every data set that was asked for is there, and holds records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.finding import Finding, Outcome, error, failed, passed, pending
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Case, Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.errors import nearest
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class DatasetsPresent(Check):
    """The data miss no set: each of `sets`, of the configuration's data.sets and of every stage is there.

    The data state `sets` (records by set) and `missing` (names); a set with no record is missing.

    Why:
    A set that is skipped because it cannot be read changes what is trained, and nothing in the curves says so. Of the
    ancestors' 14 data sets 8 were not available offline and were dropped with a line in the log; the third stage of
    their curriculum was then the second one, and one set was 45.6 % of all records.

    Usual causes:
    - A download that fails offline, caught by `except: continue`.
    - A name that is spelled in another way than the file.
    - A filter (length, language, licence) that leaves nothing.

    Fix:
    Fetch the set or take it out of the configuration; a loader must raise on a name it cannot serve.

    Healthy runs that must pass:
    More sets than were asked for.

    Source:
    facts B4 and C 61 of the ancestors (TRAINING_READINESS_REPORT: 8 of 14 unavailable and skipped).
    """

    metric_fields = ()

    sets: tuple[str, ...] = ()

    def due(self, epochs: int) -> int:  # noqa: ARG002 - decided before the first epoch
        return 0

    def judge(self, run: Run) -> Outcome:
        if not run.of(ev.Data):
            return error("the run records no facts about its data") if run.last_epoch else pending("awaits the data")
        records, missing = run.facts.get("sets"), run.facts.get("missing")
        if not isinstance(records, Mapping) or not isinstance(missing, Sequence) or isinstance(missing, str):
            lacking = "sets" if not isinstance(records, Mapping) else "missing"
            return error(f"{lacking!r} was not measured: the data do not say which sets they hold")
        wanted = list(dict.fromkeys((*map(str, missing), *self.sets, *_asked(run.config))))
        if not records and not wanted:
            return error("the data hold no set and none was asked for")
        absent = [name for name in wanted if name in map(str, missing) or not _count(records.get(name)) > 0]
        empty = [name for name in records if name not in absent and not _count(records[name]) > 0]
        return self._outcome([*absent, *map(str, empty)], records, len({*wanted, *records}))

    def _outcome(self, absent: Sequence[str], records: Mapping[str, object], looked: int) -> Outcome:
        there = {str(name): _count(count) for name, count in records.items() if _count(count) > 0}
        held = ", ".join(f"{name} {figure(count)}" for name, count in there.items()) or "none"
        finding = Finding(
            what="data sets that are missing",
            measured=float(len(absent)),
            wanted=f"0 of {looked}",
            margin=0.0 - len(absent),
            evidence=(
                *([f"missing: {', '.join(absent)}. {nearest(absent[0], there)}"] if absent else []),
                f"records by set: {held}",
            ),
        )
        return failed(finding, evaluated=looked) if absent else passed(finding, evaluated=looked)


def _asked(config: Mapping[str, object]) -> list[str]:
    """Names of sets in the configuration's data and in the stages of its curriculum."""
    stages = config.get("curriculum")
    tables = [config.get("data"), *(stages if isinstance(stages, Sequence) and not isinstance(stages, str) else ())]
    names = [table.get("sets") for table in tables if isinstance(table, Mapping)]
    return [str(name) for each in names if isinstance(each, Sequence) and not isinstance(each, str) for name in each]


def _count(value: object) -> float:
    """A number of records; 0 where there is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


_CHECK = DatasetsPresent()
_SETS: dict[str, ev.Value] = {"arithmetic": 3000, "recall": 3000, "code": 1200}
_ASKED = {"data": {"sets": ["arithmetic", "code"]}, "curriculum": [{"sets": ["recall"]}, {"epochs": 2}]}
PASSES: Sequence[Case] = (
    made.case("all_there", _CHECK, language.data({"sets": _SETS, "missing": []}, **_ASKED)),
    made.case("more_than_asked", DatasetsPresent(sets=("code",)), language.data({"sets": _SETS, "missing": []})),
)
FAILS: Sequence[Case] = (
    made.case(
        "skipped_because_offline",
        _CHECK,
        language.data({"sets": _SETS, "missing": ["mbpp", "hellaswag"]}),
        ("missing: mbpp, hellaswag", "arithmetic 3,000"),
    ),
    made.case(
        "silently_dropped",
        _CHECK,
        language.data({"sets": {"arithmetic": 3000}, "missing": []}, **_ASKED),
        ("missing: code, recall",),
    ),
    made.case("filtered_to_nothing", _CHECK, language.data({"sets": {**_SETS, "code": 0}, "missing": []})),
    made.case(
        "asked_for_by_the_suite",
        DatasetsPresent(sets=("arithmetics",)),
        language.data({"sets": _SETS, "missing": []}),
        ("Did you mean 'arithmetic'?",),
    ),
)
