"""datasets_present: every required data set exists and holds records."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.checks.bounds import ceiling
from lvmcheck.checks.data._gate import no_data_yet
from lvmcheck.checks.finding import Finding, Outcome, compared, facts, not_recorded
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared import cases as made
from lvmcheck.checks.shared import language_cases as language
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class DatasetsPresent(Check):
    """No data set is missing: each of `sets`, of the configuration's data.sets and of every stage has records.

    The data state `sets` (records by set) and `missing` (names); a set with no record is missing.

    Why:
    A set that is skipped because it cannot be read changes what is trained, and no curve shows it. In the original
    project 8 of 14 data sets were not available offline and were dropped with a line in the log; the third stage of the
    curriculum was then the second one, and one set was 45.6 % of all records.

    Usual causes:
    - A download that fails offline, caught by `except: continue`.
    - A name that is spelled in another way than the file.
    - A filter (length, language, licence) that leaves nothing.

    Fix:
    Fetch the set or take it out of the configuration; a loader must raise on a name it cannot serve.

    Healthy runs that must pass:
    More sets than were asked for.

    Source:
    docs/history.md (8 of 14 data sets unavailable and skipped).
    """

    metric_fields = ()

    sets: tuple[str, ...] = ()

    def due(self, epochs: int) -> int:  # noqa: ARG002 - decided before the first epoch
        return 0

    def judge(self, run: Run) -> Outcome:
        unknown = no_data_yet(run)
        if unknown is not None:
            return unknown
        records, missing = run.facts.get("sets"), run.facts.get("missing")
        if not isinstance(records, Mapping) or not isinstance(missing, Sequence) or isinstance(missing, str):
            lacking = "sets" if not isinstance(records, Mapping) else "missing"
            return not_recorded(f"the data do not state {lacking!r}")
        required = list(dict.fromkeys((*map(str, missing), *self.sets, *_configured(run.config))))
        if not records and not required:
            return not_recorded("the data hold no set and none is required")
        absent = [name for name in required if name in map(str, missing) or not _count(records.get(name)) > 0]
        empty = [name for name in records if name not in absent and not _count(records[name]) > 0]
        return self._outcome([*absent, *map(str, empty)], records, len({*required, *records}))

    def _outcome(self, absent: Sequence[str], records: Mapping[str, object], total: int) -> Outcome:
        held = {str(name): _count(count) for name, count in records.items() if _count(count) > 0}
        near = difflib.get_close_matches(absent[0], held, n=1) if absent else []
        finding = Finding(
            code="missing",
            measured=len(absent),
            bounds=(ceiling(0),),
            evidence=(
                *facts(total=total),
                *(facts(missing=", ".join(absent)) if absent else ()),
                *(facts(nearest=near[0]) if near else ()),
                *facts({f"records_{name}": count for name, count in held.items()}),
            ),
            phrase="{measured} of {total} data sets are missing",
        )
        return compared(finding, evaluated=total)


def _configured(config: Mapping[str, object]) -> list[str]:
    """Names of sets in the configuration's data and in the stages of its curriculum."""
    stages = config.get("curriculum")
    tables = [config.get("data"), *(stages if isinstance(stages, Sequence) and not isinstance(stages, str) else ())]
    names = [table.get("sets") for table in tables if isinstance(table, Mapping)]
    return [str(name) for each in names if isinstance(each, Sequence) and not isinstance(each, str) for name in each]


def _count(value: object) -> float:
    """A number of records; 0 where there is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


_case = made.Cases(DatasetsPresent())
_SETS: dict[str, ev.Value] = {"arithmetic": 3000, "recall": 3000, "code": 1200}
_ASKED = {"data": {"sets": ["arithmetic", "code"]}, "curriculum": [{"sets": ["recall"]}, {"epochs": 2}]}
PASSES = (
    _case("all_there", language.data({"sets": _SETS, "missing": []}, **_ASKED)),
    made.case("more_than_asked", DatasetsPresent(sets=("code",)), language.data({"sets": _SETS, "missing": []})),
)
FAILS = (
    _case(
        "skipped_because_offline",
        language.data({"sets": _SETS, "missing": ["mbpp", "hellaswag"]}),
        "missing",
        2,
        missing="mbpp, hellaswag",
        records_arithmetic=3000,
    ),
    _case(
        "silently_dropped",
        language.data({"sets": {"arithmetic": 3000}, "missing": []}, **_ASKED),
        missing="code, recall",
    ),
    _case("filtered_to_nothing", language.data({"sets": {**_SETS, "code": 0}, "missing": []})),
    made.case(
        "asked_for_by_the_suite",
        DatasetsPresent(sets=("arithmetics",)),
        language.data({"sets": _SETS, "missing": []}),
        nearest="arithmetic",
    ),
)
