"""Every check against its own cases, and laws that hold for every check there is or will be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lvmcheck.checks.finding import Outcome, Status
from lvmcheck.checks.protocol import (
    Case,
    Check,
    cases,
    check_names,
    judge,
    load_check,
    manual,
    universal_checks,
    usual_causes,
)
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from

NAMES = check_names()
GOOD = [(name, case) for name in NAMES for case in cases(name)[0]]
BAD = [(name, case) for name in NAMES for case in cases(name)[1]]
ALL = GOOD + BAD


def ids(pairs: list[tuple[str, Case]]) -> list[str]:
    return [f"{name}-{case.name}" for name, case in pairs]


def text(outcome: Outcome) -> str:
    evidence = outcome.finding.evidence if outcome.finding else ()
    return " | ".join((outcome.sentence(), *evidence))


def by_check(pairs: list[tuple[str, Case]]) -> dict[str, list[Case]]:
    grouped: dict[str, list[Case]] = {name: [] for name in NAMES}
    for name, case in pairs:
        grouped[name].append(case)
    return grouped


# -- the cases themselves ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "case"), GOOD, ids=ids(GOOD))
def test_passes(name: str, case: Case) -> None:
    outcome = judge(case.check, case.run)
    assert outcome.status is Status.PASSED, text(outcome)
    assert outcome.evaluated >= 1
    assert outcome.finding is not None
    assert outcome.finding.margin is None or outcome.finding.margin >= 0
    assert not [words for words in case.says if words not in text(outcome)], text(outcome)
    assert case.check.use() == name


@pytest.mark.parametrize(("name", "case"), BAD, ids=ids(BAD))
def test_fails(name: str, case: Case) -> None:
    outcome = case.check.judge(case.run)  # unsettled: a fail must be measured, not the lack of an end
    assert outcome.status is Status.FAILED, text(outcome)
    assert outcome.finding is not None
    assert outcome.finding.margin is None or not outcome.finding.margin >= 0, "a miss is a negative distance, or NaN"
    assert outcome.evaluated >= 1
    assert not [words for words in case.says if words not in text(outcome)], text(outcome)
    assert case.check.use() == name


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


@pytest.mark.parametrize("nothing", NOTHING, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_no_data_is_never_a_pass(name: str, nothing: str) -> None:
    run = NOTHING[nothing]
    for case in (*cases(name)[0], *cases(name)[1]):
        if name == "finite" and run.metric_names:
            continue  # every finite number is its data
        outcome = judge(case.check, run)
        assert outcome.status is not Status.PASSED, f"{case.name}: {text(outcome)}"
        assert outcome.status is not Status.PENDING or not run.over
        assert outcome.finding is None, f"{case.name} measured something: {text(outcome)}"


def prefixes(run: Run) -> Iterator[Run]:
    for count in range(len(run.events) + 1):
        yield replace(run, events=run.events[:count], done=None)
    yield run


@pytest.mark.parametrize("name", NAMES)
def test_decided_is_final(name: str) -> None:
    """What was decided live stands afterwards: the same code on the recorded run says the same."""
    for case in by_check(ALL)[name]:
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
    for case in by_check(GOOD)[name]:
        planned = case.run.last_epoch + 1
        if case.check.due(planned) < planned or not case.run.over:
            continue
        run = replace(case.run, info={**case.run.info, "config": {**case.run.config, "epochs": planned}})
        if any(case.check.judge(early).status is Status.PASSED for early in list(prefixes(case.run))[:-1]):
            continue  # decided early, for good
        outcome = judge(case.check, run)
        assert outcome.status in (Status.FAILED, Status.ERROR), f"{case.name}: {text(outcome)}"
        assert "not reached" in text(outcome)


def poisoned(run: Run, number: float) -> Iterator[tuple[int, str, Run]]:
    """The run with one recorded number replaced, for every number it holds."""
    for i, event in enumerate(run.events):
        changes: list[tuple[str, dict[str, Any]]] = []
        if isinstance(event, ev.Epoch | ev.Evaluation):
            changes = [(name, {"metrics": {**event.metrics, name: number}}) for name in event.metrics]
        elif isinstance(event, ev.Probe):
            changes = [(name, {"values": {**event.values, name: number}}) for name in event.values]
        elif isinstance(event, ev.Window):
            stated = ("loss_mean", "grad_norm_max", "ledger_error")
            changes = [(name, {name: number}) for name in stated if getattr(event, name) is not None]
        for name, change in changes:
            yield i, name, replace(run, events=(*run.events[:i], replace(event, **change), *run.events[i + 1 :]))


@pytest.mark.parametrize("name", NAMES)
def test_nan_is_never_better_than_any_number(name: str) -> None:
    """Where some finite number in a place fails the check, a NaN in that place does not pass it."""
    judged = 0
    for case in by_check(GOOD)[name]:
        if len(case.run.events) > 60:
            continue  # long curves add time, not places
        fatal = set()
        for number in (-1e6, 1e6, 0.0):
            fatal |= {
                (i, what)
                for i, what, run in poisoned(case.run, number)
                if judge(case.check, run).status is Status.FAILED
            }
        for i, what, run in poisoned(case.run, math.nan):
            if (i, what) in fatal:
                judged += 1
                outcome = judge(case.check, run)
                assert outcome.status is not Status.PASSED, f"{case.name}, {what} of event {i}: {text(outcome)}"
    # One number moves no median (loss_balance), and no finite number fails finite; both have NaN cases of their own.
    # stage_changes_data compares fingerprints, tokens_scored_once integers.
    numberless = ("finite", "loss_balance", "stage_changes_data", "tokens_scored_once")
    assert judged or name in numberless or all(case.check.due(20) == 0 for case in by_check(GOOD)[name])


OPTIONAL = {
    ("generalisation_gap", "train_eval_cosine"),  # the running metric stands in
    ("too_good_to_be_true", "train_loss"),  # validation is judged; the first epoch of training where it is logged
    ("too_good_to_be_true", "train_bits_per_byte"),
    ("improves", "val_cosine"),  # decided by the first epochs
    ("val_loss_moves", "train_loss"),  # without it every epoch counts as training
    ("val_loss_moves", "lr"),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_at_the_end_has_not_passed(name: str) -> None:
    """Where some number in the last epoch fails the check, the lack of that number does not pass it."""
    for case in by_check(GOOD)[name]:
        epochs = [i for i, event in enumerate(case.run.events) if isinstance(event, ev.Epoch)]
        if not epochs or not case.run.over:
            continue
        fatal = {
            what
            for number in (-1e6, 1e6)
            for i, what, run in poisoned(case.run, number)
            if i == epochs[-1] and judge(case.check, run).status is Status.FAILED
        }
        for what in fatal:
            if (name, what) in OPTIONAL:
                continue
            last = case.run.events[epochs[-1]]
            assert isinstance(last, ev.Epoch)
            kept = replace(last, metrics={key: value for key, value in last.metrics.items() if key != what})
            events = (*case.run.events[: epochs[-1]], kept, *case.run.events[epochs[-1] + 1 :])
            outcome = judge(case.check, replace(case.run, events=events))
            assert outcome.status is not Status.PASSED, f"{case.name} without {what}: {text(outcome)}"


def test_windows_that_stop_before_the_last_epoch_have_not_passed() -> None:
    for name in ("not_diverging", "grad_norm_bounded", "loss_ledger"):
        run = next(case.run for case in by_check(GOOD)[name] if case.run.windows and case.run.last_epoch)
        later = run.extended([ev.Epoch(epoch=run.last_epoch + 1, step=run.step, metrics={"train_loss": 0.0})])
        outcome = judge(load_check(name)(), later)
        assert outcome.status is Status.ERROR, f"{name}: {text(outcome)}"
        assert "no step is recorded after step" in text(outcome)


def test_finite_fails_on_a_nan_in_any_place() -> None:
    for case in by_check(GOOD)["finite"]:
        for number in (math.nan, math.inf, -math.inf):
            for i, what, run in poisoned(case.run, number):
                outcome = judge(case.check, run)
                assert outcome.status is Status.FAILED, f"{what} of event {i}: {text(outcome)}"
                assert outcome.abort


@pytest.mark.parametrize("name", NAMES)
def test_judging_is_pure(name: str) -> None:
    for case in by_check(ALL)[name]:
        before = [ev.to_line(event) for event in case.run.events]
        first = case.check.judge(case.run)
        second = case.check.judge(replace(case.run))
        assert repr(first) == repr(second), case.name  # repr, because NaN is not equal to itself
        assert [ev.to_line(event) for event in case.run.events] == before


@pytest.mark.parametrize("name", NAMES)
def test_says_where_it_is_decided_and_never_later_than_due(name: str) -> None:
    for case in by_check(ALL)[name]:
        for epochs in (1, 5, 20):
            assert case.check.due(epochs) >= 0
            if not isinstance(getattr(case.check, "epoch", None), int):
                assert case.check.due(epochs) <= epochs
        assert case.check.label().startswith(name)


def test_universal_checks_judge_any_history() -> None:
    """The healthy history fails none of them, with no suite and no configuration."""
    history = next(case.run for case in cases("finite")[0] if case.name == "amn_584k")
    found = {check.use(): judge(check, history) for check in universal_checks()}
    expected = {"finite", "val_loss_moves", "loss_ledger", "loss_balance", "val_identity", "not_diverging"}
    assert expected <= set(found)
    for use, outcome in found.items():
        allowed = (Status.PASSED, Status.NOT_APPLICABLE)
        assert use == "val_loss_moves" or outcome.status in allowed, f"{use}: {text(outcome)}"


# -- keys ----------------------------------------------------------------------------------------------------------
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("cosine_floor", {"metric": "m", "epoch": 1, "floor": 1.2}, "floor: expected -1 to 1, got 1.2"),
    ("cosine_floor", {"metric": "m", "epoch": 0, "floor": 0.5}, "epoch: expected an integer of at least 1, got 0"),
    ("cosine_floor", {"metric": "m", "epoch": 1, "floor": 0.4, "abort_below": 0.5}, "abort_below: expected at most"),
    ("cosine_floor", {"metric": "m", "epoch": 1, "floor": "best_liner + 1"}, "Did you mean 'best_linear'?"),
    ("cosine_floor", {"metric": "m", "epoch": 1, "floor": "__import__('os')"}, "floor: expected a number or an exp"),
    ("cosine_floor", {"metric": "m", "epoch": 1, "floor": "optimum * optimum"}, "at most one baseline"),
    ("improves", {"by_epoch": 1}, "by_epoch: expected an integer of at least 2, got 1"),
    ("improves", {"min_gain": 0.0}, "min_gain: expected 1e-09 to 2, got 0"),
    ("val_loss_descends", {"tolerance": -1.0}, "tolerance: expected 0 to 1, got -1"),
    ("val_loss_moves", {"epochs": 1}, "epochs: expected an integer of at least 2"),
    ("val_identity", {"dim": 0}, "dim: expected an integer of at least 1"),
    ("generalisation_gap", {"epoch": 0}, "epoch: expected an integer of at least 1"),
    ("generalisation_gap", {"max_gap": math.nan}, "max_gap: expected a finite number"),
    ("beats_baselines", {"margin": 3.0}, "margin: expected -2 to 2, got 3"),
    ("ood_holds", {"max_drop": -0.1}, "max_drop: expected 0 to 2"),
    ("loss_ledger", {"tolerance": 2.0}, "tolerance: expected 0 to 1, got 2"),
    ("loss_balance", {"max_ratio": 0.5}, "max_ratio: expected at least 1, got 0.5"),
    ("loss_balance", {"from_step": 500, "to_step": 500}, "to_step: expected an integer of at least 501"),
    ("grad_norm_bounded", {"bound": 0.0}, "bound: expected at least"),
    ("not_diverging", {"factor": 0.9}, "factor: expected at least 1, got 0.9"),
    ("config_matches", {}, "reference: expected either reference or expected, got neither"),
    (
        "config_matches",
        {"expected": {"lr": 1}, "ignore": ("lr",)},
        "expected: the configuration to compare with has no",
    ),
    ("config_matches", {"reference": "amn_584k_pure_mze"}, "Did you mean 'amn_584k_pure_mse'?"),
    ("config_matches", {"reference": "../secret"}, "reference: expected the name of a file"),
    ("reload_agrees", {"tolerance": -1.0}, "tolerance: expected 0 to 1"),
]


@pytest.mark.parametrize(("use", "keys", "says"), WRONG, ids=[f"{u}-{i}" for i, (u, _, _) in enumerate(WRONG)])
def test_wrong_values_are_refused_by_name(use: str, keys: dict[str, Any], says: str) -> None:
    kind: type[Check] = load_check(use)
    with pytest.raises(ValueError, match=r"^\w+: ") as caught:
        kind(**keys)
    assert says in str(caught.value)
