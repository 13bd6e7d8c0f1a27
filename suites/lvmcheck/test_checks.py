"""Every check against its own cases, and laws that hold for every check there is or will be."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, get_args, get_type_hints

import pytest

from lvmcheck.checks.finding import Finding, Outcome, Status, Why, passed
from lvmcheck.checks.manual import manual, usual_causes
from lvmcheck.checks.protocol import Case, Check, cases, check_names, judge, load_check, universal_checks
from lvmcheck.checks.wording import sentence
from lvmcheck.run import events as ev
from lvmcheck.run.event_lines import to_line
from lvmcheck.run.view import Run, run_from
from suites.lvmcheck.checks_kit import text

NAMES = check_names()
GOOD = [(name, case) for name in NAMES for case in cases(name)[0]]
BAD = [(name, case) for name in NAMES for case in cases(name)[1]]
BROKEN = (Status.FAILED, Status.WARNING)


def ids(pairs: list[tuple[str, Case]]) -> list[str]:
    return [f"{name}-{case.name}" for name, case in pairs]


def good(name: str) -> Sequence[Case]:
    return cases(name)[0]


def every(name: str) -> Sequence[Case]:
    return (*cases(name)[0], *cases(name)[1])


# -- the cases themselves ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "case"), GOOD, ids=ids(GOOD))
def test_passes(name: str, case: Case) -> None:
    outcome = judge(case.check, case.run)
    assert outcome.status is Status.PASSED, text(outcome)
    assert outcome.evaluated >= 1
    assert outcome.finding is not None
    assert outcome.finding.code
    assert outcome.finding.margin is None or outcome.finding.margin >= 0
    assert not case.mismatch(outcome), text(outcome)
    assert case.check.name() == name


@pytest.mark.parametrize(("name", "case"), BAD, ids=ids(BAD))
def test_fails(name: str, case: Case) -> None:
    outcome = case.check.judge(case.run)  # unsettled: a fail must be measured, not the lack of an end
    assert outcome.status is (case.status or Status.FAILED), text(outcome)
    assert case.status in (None, Status.FAILED, Status.WARNING)
    assert outcome.finding is not None
    assert outcome.finding.code
    assert outcome.finding.margin is None or not outcome.finding.margin >= 0, "a miss is a negative distance, or NaN"
    assert not outcome.abort or outcome.status is Status.FAILED, "a warning stops no run"
    assert outcome.evaluated >= 1
    assert not case.mismatch(outcome), f"{case.mismatch(outcome)}: {text(outcome)}"
    assert case.check.name() == name


@pytest.mark.parametrize("name", NAMES)
def test_words_can_be_made_of_every_finding(name: str) -> None:
    """Every placeholder of a phrase is a field or a fact; every fact has one place."""
    for case in every(name):
        finding = case.check.judge(case.run).finding
        if finding is not None:
            assert sentence(finding)
            names = [(fact.name, fact.epoch, fact.step) for fact in finding.evidence]
            assert len(names) == len(set(names)), names


@pytest.mark.parametrize("name", NAMES)
def test_is_proved_and_documented(name: str) -> None:
    kind = load_check(name)
    good, bad = cases(name)
    assert len(good) >= 2
    assert len(bad) >= 2
    before_training = good[0].check.due(20) == 0
    assert before_training or any(case.name.startswith("perfect_oracle") for case in good)
    names = [case.name for case in (*good, *bad)]
    assert len(names) == len(set(names))
    page = manual(kind)
    for section in ("what", "why", "usual causes", "fix", "healthy runs that must pass", "source"):
        assert page.get(section), f"{name}: no section {section!r}"
    assert len(usual_causes(kind)) >= 2
    assert all(cause.strip() for cause in usual_causes(kind))
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert all(field.kw_only for field in dataclasses.fields(kind))
    fields = {field.name for field in dataclasses.fields(kind)}
    assert set(kind.metric_fields) <= fields | {"metric"}


# -- laws ----------------------------------------------------------------------------------------------------------
NOTHING = {
    "not begun": Run(),
    "begun": Run(events=(ev.Begin(),)),
    "ended without data": Run(events=(ev.Begin(),), done={"status": "finished"}),
    "ended epochs without metrics": run_from({"nothing_known": [1.0, 2.0]}),
    "dead": Run(events=(ev.Begin(),), death="trainer exited 0 before its completion record"),
    "stopped": Run(events=(ev.Begin(),), done={"status": "stopped", "reason": "a test"}),
}


@pytest.mark.parametrize("name", NAMES)
def test_no_data_is_never_a_pass(name: str) -> None:
    for case in every(name):
        if "no_data" in case.check.exempt:
            continue
        for nothing, run in NOTHING.items():
            outcome = judge(case.check, run)
            assert outcome.status is not Status.PASSED, f"{case.name}, {nothing}: {text(outcome)}"
            assert outcome.status is not Status.PENDING or not run.over
            assert outcome.finding is None, f"{case.name} measured something, {nothing}: {text(outcome)}"


def prefixes(run: Run) -> Iterator[Run]:
    for count in range(len(run.events) + 1):
        yield replace(run, events=run.events[:count], done=None)
    yield run


@pytest.mark.parametrize("name", NAMES)
def test_decided_is_final(name: str) -> None:
    """What was decided live stands afterwards: the same code on the recorded run says the same."""
    for case in every(name):
        decided: Outcome | None = None
        for run in prefixes(case.run):
            outcome = case.check.judge(run)
            if decided is None and outcome.decided:
                decided = outcome
            # An answer may see more comparisons later; its status may not move.
            assert decided is None or outcome.status is decided.status, (
                f"{case.name}: {text(decided)} -> {text(outcome)}"
            )
        assert decided is not None, case.name


@pytest.mark.parametrize("name", NAMES)
def test_no_pass_before_the_planned_end(name: str) -> None:
    """A check that needs the last epoch does not pass on a run that ended earlier than planned."""
    for case in good(name):
        planned = case.run.last_epoch + 1
        if case.check.due(planned) < planned or not case.run.over or "planned_end" in case.check.exempt:
            continue
        run = replace(case.run, info={**case.run.info, "config": {**case.run.config, "epochs": planned}})
        if any(case.check.judge(early).status is Status.PASSED for early in list(prefixes(case.run))[:-1]):
            continue  # decided early, for good
        outcome = judge(case.check, run)
        assert outcome.status is Status.FAILED, f"{case.name}: {text(outcome)}"
        assert outcome.why in (Why.NOT_REACHED, Why.RUN_ENDED), f"{case.name}: {text(outcome)}"


@cache
def measured_fields(kind: type) -> tuple[str, ...]:
    """Fields of a dataclass that may hold a float, by their types; epochs, steps and counts are integers."""
    hints = get_type_hints(kind)
    return tuple(field.name for field in dataclasses.fields(kind) if _admits_float(hints[field.name]))


def _admits_float(hint: Any) -> bool:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return bool(measured_fields(hint))
    return hint is float or any(map(_admits_float, get_args(hint)))


def with_one_number(value: Any, number: float) -> Iterator[tuple[str, Any]]:
    """Copies of a value, each with one of the numbers in it replaced, and where that was."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield "", number
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from ((f"{key}{rest}", {**value, key: new}) for rest, new in with_one_number(item, number))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            changes = with_one_number(item, number)
            yield from ((f"[{i}]{rest}", [*value[:i], new, *value[i + 1 :]]) for rest, new in changes)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name in measured_fields(type(value)):
            changes = with_one_number(getattr(value, name), number)
            yield from ((f".{name}.{rest}", replace(value, **{name: new})) for rest, new in changes)


def poisoned(run: Run, number: float) -> Iterator[tuple[int, str, Run]]:
    """The run with one recorded number replaced, for every number of every event that it holds."""
    for i, event in enumerate(run.events):
        for where, changed in with_one_number(event, number):
            yield i, where, replace(run, events=(*run.events[:i], changed, *run.events[i + 1 :]))


def poisoned_throughout(run: Run, number: float) -> Iterator[tuple[int, str, Run]]:
    """The run with one measurement of a watched loop replaced wherever it was taken: several in a row may decide."""
    watched = [event for event in run.events if isinstance(event, ev.Watch)]
    for name, key in sorted({(event.name, key) for event in watched for key in event.values}):
        changed = tuple(
            replace(event, values={**event.values, key: number})
            if isinstance(event, ev.Watch) and event.name == name and key in event.values
            else event
            for event in run.events
        )
        yield -1, f"{name}.{key}", replace(run, events=changed)


def test_the_poison_reaches_every_kind_of_number() -> None:
    event = ev.Window(
        epoch=1,
        first_step=1,
        last_step=2,
        loss_mean=1.0,
        loss_min=1.0,
        loss_max=1.0,
        terms={"a": ev.Term(weight=1.0, mean=2.0)},
    )
    reached = {where for where, _ in with_one_number(event, 0.0)}
    assert {".loss_mean.", ".terms.a.weight.", ".terms.a.mean.", ".t."} <= reached
    assert not {".epoch.", ".first_step."} & reached
    data = ev.Data(name="d", fingerprint="0", facts={"lags": [0.1, 0.2], "rows": 3, "name": "x", "whole": True})
    reached = {where for where, _ in with_one_number(data, 0.0)}
    assert reached == {".t.", ".facts.lags[0]", ".facts.lags[1]", ".facts.rows"}


FULL = os.environ.get("LVM_RELIABILITY") == "full"
"""Whether every good run is poisoned, not only the shortest of a check in which some number decides."""
LEVELS = [name for name in NAMES if "nan" in load_check(name).exempt]
"""Checks of levels and trends: no single number decides them."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LEVELS])
def test_nan_is_never_better_than_any_number(name: str) -> None:
    """Where some finite number in a place fails the check, a NaN in that place does not pass it."""
    judged = 0
    short = [case for case in good(name) if len(case.run.events) <= 60]  # long curves add time, not places
    for case in sorted(short, key=lambda case: len(case.run.events)):
        if judged and not FULL:
            break
        fatal: set[tuple[int, str]] = set()
        for number in (-1e6, 1e6, 0.0):
            for i, where, run in (*poisoned(case.run, number), *poisoned_throughout(case.run, number)):
                if (i, where) not in fatal and judge(case.check, run).status in BROKEN:
                    fatal.add((i, where))
        for i, where, run in (*poisoned(case.run, math.nan), *poisoned_throughout(case.run, math.nan)):
            if (i, where) in fatal:
                judged += 1
                outcome = judge(case.check, run)
                assert outcome.status is not Status.PASSED, f"{case.name}, {where} of event {i}: {text(outcome)}"
    assert judged


@pytest.mark.parametrize("name", LEVELS)
def test_a_nan_in_a_level_is_answered(name: str) -> None:
    """A NaN anywhere in the shortest good run gives an answer, and never an error of the check."""
    case = min(good(name), key=lambda case: len(case.run.events))
    for i, where, run in (*poisoned(case.run, math.nan), *poisoned_throughout(case.run, math.nan)):
        outcome = judge(case.check, run)
        assert outcome.status is not Status.ERROR, f"{case.name}, {where} of event {i}: {text(outcome)}"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_at_the_end_has_not_passed(name: str) -> None:
    """Where some number in the last epoch fails the check, the lack of that number does not pass it."""
    for case in good(name):
        epochs = [i for i, event in enumerate(case.run.events) if isinstance(event, ev.Epoch)]
        if not epochs or not case.run.over:
            continue
        last = case.run.events[epochs[-1]]
        assert isinstance(last, ev.Epoch)
        for metric in last.metrics:
            changes = ({**last.metrics, metric: number} for number in (-1e6, 1e6))
            answers = (judge(case.check, with_last(case.run, epochs[-1], metrics)) for metrics in changes)
            if metric in case.check.may_be_missing or "missing_end" in case.check.exempt:
                continue
            if not any(answer.status in BROKEN for answer in answers):
                continue
            kept = {key: value for key, value in last.metrics.items() if key != metric}
            outcome = judge(case.check, with_last(case.run, epochs[-1], kept))
            assert outcome.status is not Status.PASSED, f"{case.name} without {metric}: {text(outcome)}"


def with_last(run: Run, place: int, metrics: Mapping[str, float]) -> Run:
    event = run.events[place]
    assert isinstance(event, ev.Epoch)
    return replace(run, events=(*run.events[:place], replace(event, metrics=metrics), *run.events[place + 1 :]))


@pytest.mark.parametrize("name", NAMES)
def test_every_exemption_has_a_reason(name: str) -> None:
    kind = load_check(name)
    assert set(kind.exempt) <= {"nan", "no_data", "planned_end", "missing_end"}
    assert all(map(str.strip, (*kind.exempt.values(), *kind.may_be_missing.values())))


# -- a check that was never evaluated has not passed -------------------------------------------------------------------
EMPTY = Finding(code="nothing", measured=0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluated(Check):
    """A check that answers what it is given."""

    answer: Outcome

    def judge(self, run: Run) -> Outcome:  # noqa: ARG002 - the same answer for every run
        return self.answer


@pytest.mark.parametrize("status", [Status.PASSED, Status.WARNING])
def test_judging_turns_an_answer_without_a_comparison_into_an_error(status: Status) -> None:
    """The guard of ``judge``, for a check that builds its outcome itself."""
    outcome = judge(Evaluated(answer=Outcome(status=status, finding=EMPTY, evaluated=0)), Run())
    assert outcome.status is Status.ERROR
    assert outcome.why is Why.NEVER_EVALUATED
    assert judge(Evaluated(answer=Outcome(status=status, finding=EMPTY, evaluated=1)), Run()).status is status


def test_a_pass_without_a_comparison_is_an_error_from_the_start() -> None:
    """The guard of ``passed``, for whoever reads the answer of a check without ``judge``."""
    outcome = passed(EMPTY, evaluated=0)
    assert outcome.status is Status.ERROR
    assert outcome.why is Why.NEVER_EVALUATED
    assert outcome.finding is None
    assert passed(EMPTY).status is Status.PASSED


# -- single checks -----------------------------------------------------------------------------------------------------
def test_windows_that_stop_before_the_last_epoch_have_not_passed() -> None:
    for name in ("not_diverging", "grad_norm_bounded", "loss_ledger"):
        run = next(case.run for case in good(name) if case.run.windows and case.run.last_epoch)
        later = run.extended([ev.Epoch(epoch=run.last_epoch + 1, step=run.step, metrics={"train_loss": 0.0})])
        outcome = judge(load_check(name)(), later)
        assert outcome.status is Status.NOT_RECORDED, f"{name}: {text(outcome)}"


def test_finite_fails_on_a_nan_in_any_loss_probe_or_evaluation() -> None:
    for case in good("finite"):
        for number in (math.nan, math.inf, -math.inf):
            for i, where, run in poisoned(case.run, number):
                event = run.events[i]
                loss = isinstance(event, ev.Window) and where.startswith((".loss", ".ledger"))
                probe = isinstance(event, ev.Probe | ev.Evaluation) and where != ".t."
                if loss or probe:
                    outcome = judge(case.check, run)
                    assert outcome.status is Status.FAILED, f"{where} of event {i}: {text(outcome)}"
                    assert outcome.abort


@pytest.mark.parametrize("name", NAMES)
def test_judging_is_pure(name: str) -> None:
    for case in every(name):
        before = [to_line(event) for event in case.run.events]
        first = case.check.judge(case.run)
        second = case.check.judge(replace(case.run))
        assert repr(first) == repr(second), case.name  # repr, because NaN is not equal to itself
        assert [to_line(event) for event in case.run.events] == before


@pytest.mark.parametrize("name", NAMES)
def test_says_where_it_is_decided_and_never_later_than_due(name: str) -> None:
    for case in every(name):
        for epochs in (1, 5, 20):
            assert case.check.due(epochs) >= 0
            if not isinstance(getattr(case.check, "epoch", None), int):
                assert case.check.due(epochs) <= epochs
        assert case.check.label().split("[")[0] == name


def test_universal_checks_judge_any_history() -> None:
    """The healthy history fails none of them, with no suite and no configuration."""
    history = next(case.run for case in cases("finite")[0] if case.name == "amn_584k")
    found = {check.name(): judge(check, history) for check in universal_checks()}
    assert {"finite", "metric_constant", "loss_ledger", "loss_diverging", "nothing_learned"} <= set(found)
    for name, outcome in found.items():
        allowed = (Status.PASSED, Status.NOT_APPLICABLE, Status.NOT_RECORDED)
        assert outcome.status in allowed, f"{name}: {text(outcome)}"
