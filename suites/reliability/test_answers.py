"""Findings, outcomes and settled answers, value by value against rules that are written here a second time."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lvmcheck.checks import bounds, finding, protocol
from lvmcheck.checks.bounds import Bound, BoundKind
from lvmcheck.checks.finding import Asked, Fact, Finding, Outcome, Status, Verdict, Why
from lvmcheck.checks.protocol import Case, Check, same
from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run, run_from

VALUES: tuple[Any, ...] = (0.0, 1.0, 1, 2, -1.0, math.inf, -math.inf, math.nan, True, False, "a", None)
BOUNDS = [Bound(kind, value) for kind in BoundKind for value in (0.0, 1, 1.5, math.nan, "a", True)]


def numeric(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool))


def as_number(value: Any) -> float:
    return float(value) if numeric(value) else math.nan


def keeps(value: Any, bound: Bound) -> bool:
    """Whether a value keeps a bound that is no abort."""
    if bound.kind == "equal":
        return bool(value == bound.value)
    if bound.kind == "abort":
        return True
    if isinstance(bound.value, str):
        return False
    number = as_number(value)
    return bool(number >= bound.value) if bound.kind == "floor" else bool(number <= bound.value)


def distances(value: Any, held: tuple[Bound, ...]) -> Iterator[float]:
    for bound in held:
        if bound.kind in ("floor", "ceiling") and not isinstance(bound.value, str):
            yield (as_number(value) - bound.value) * (1 if bound.kind == "floor" else -1)


def alike(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))


def test_margins_and_bounds_of_every_pair() -> None:
    held = [(), *((one,) for one in BOUNDS), *itertools.combinations(BOUNDS, 2)]
    for value, pair in itertools.product(VALUES, held):
        found = Finding(code="c", measured=value, bounds=pair)
        expected = list(distances(value, pair))
        smallest = math.nan if any(map(math.isnan, expected)) else min(expected, default=None)
        assert alike(found.margin, smallest), found
        assert alike(found.number, as_number(value))
        assert found.met == (bool(pair) and all(keeps(value, bound) for bound in pair)), found
        side = "floor" if any(bound.kind == "floor" for bound in pair) else "ceiling"
        values = [it.value for it in pair if it.kind == "abort" and not isinstance(it.value, str)]
        aborts = [Bound(BoundKind(side), limit) for limit in values]
        assert found.beyond_abort == any(not keeps(value, bound) for bound in aborts), found
        settled = finding.compared(found, evaluated=2)
        status = Status.PASSED if found.met else Status.FAILED
        assert settled == Outcome(status=status, finding=found, evaluated=2, abort=not found.met and found.beyond_abort)


def test_bounds_are_what_they_are_called() -> None:
    made = [getattr(bounds, kind.value)(2, "s") for kind in BoundKind]
    assert made == [Bound(kind, 2, "s") for kind in BoundKind]
    assert bounds.band(1, 2, "s") == (Bound(BoundKind.FLOOR, 1, "s"), Bound(BoundKind.CEILING, 2, "s"))
    assert [bounds.floor(1).source, bounds.band(1, 2)[1].source] == ["", ""]


ONE = Finding(code="c", measured=1.0, evidence=(Fact("a", 1), Fact("b", 2)))
MADE: list[tuple[Outcome, dict[str, Any]]] = [
    (finding.passed(ONE), {"status": Status.PASSED, "finding": ONE, "evaluated": 1}),
    (finding.passed(ONE, evaluated=3), {"status": Status.PASSED, "finding": ONE, "evaluated": 3}),
    (finding.failed(ONE), {"status": Status.FAILED, "finding": ONE, "evaluated": 1}),
    (
        finding.failed(ONE, evaluated=0, abort=True),
        {"status": Status.FAILED, "finding": ONE, "evaluated": 0, "abort": True},
    ),
    (finding.warning(ONE), {"status": Status.WARNING, "finding": ONE, "evaluated": 1}),
    (finding.warning(ONE, evaluated=2), {"status": Status.WARNING, "finding": ONE, "evaluated": 2}),
    (finding.pending("x"), {"status": Status.PENDING, "why": Why.AWAITS, "reason": "x", "awaits": "x"}),
    (
        finding.pending("x", evaluated=4),
        {"status": Status.PENDING, "why": Why.AWAITS, "reason": "x", "awaits": "x", "evaluated": 4},
    ),
    (finding.not_applicable("x"), {"status": Status.NOT_APPLICABLE, "why": Why.OTHER, "reason": "x"}),
    (finding.not_recorded("x"), {"status": Status.NOT_RECORDED, "why": Why.NOT_RECORDED, "reason": "x"}),
    (
        finding.not_recorded("x", Why.NOT_IN_FORMAT),
        {"status": Status.NOT_RECORDED, "why": Why.NOT_IN_FORMAT, "reason": "x"},
    ),
    (finding.error("x"), {"status": Status.ERROR, "why": Why.OTHER, "reason": "x"}),
    (finding.error("x", Why.CRASHED), {"status": Status.ERROR, "why": Why.CRASHED, "reason": "x"}),
]


WORDS = (
    "awaits not run not reached run ended not needed not recorded not in the format other data never evaluated"
    " check crashed same runs run died unexpected other"
)
"""A published form: reports hold them."""


def test_outcomes_hold_what_they_were_made_of() -> None:
    blank = {"finding": None, "why": None, "reason": "", "awaits": "", "evaluated": 0, "abort": False}
    for outcome, fields in MADE:
        assert {field.name: getattr(outcome, field.name) for field in dataclasses.fields(outcome)} == blank | fields
        assert outcome.decided == (outcome.status != "pending")
    for count in (0, -1):
        shown = finding.passed(ONE, evaluated=count)
        assert (shown.status, shown.why, shown.evaluated) == (Status.ERROR, Why.NEVER_EVALUATED, 0)
    assert finding.compared(replace(ONE, bounds=(bounds.floor(1),))) == finding.passed(
        replace(ONE, bounds=(bounds.floor(1),))
    )
    assert finding.compared(ONE) == finding.failed(ONE)
    assert " ".join(Why) == WORDS
    assert (ONE.fact("b"), ONE.fact("c")) == (Fact("b", 2), None)


@pytest.mark.parametrize("kind", [Fact, Bound, Finding, Outcome, Asked, Verdict, Check, Case])
def test_nothing_that_was_judged_can_be_changed(kind: type) -> None:
    one: Any = object.__new__(kind)
    assert hasattr(one, "__dict__") == (kind not in (Fact, Bound))  # of which a run has thousands
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, dataclasses.fields(kind)[0].name if dataclasses.fields(kind) else "x", 1)
    if kind not in (Fact, Bound):  # named by their places all over the checks
        with pytest.raises(TypeError, match="takes 1 positional argument but"):
            kind(1)


def test_a_verdict_speaks_for_its_outcome() -> None:
    one = Verdict(name="n", check="c", outcome=finding.failed(ONE))
    assert (one.status, one.finding) == (Status.FAILED, ONE)
    assert Verdict(name="n", check="c", outcome=finding.error("x")).finding is None


def test_facts_are_plain_values() -> None:
    one = np.float64(1.5)
    assert type(finding.plain(one)) is float
    assert finding.plain("a") == "a"
    assert finding.facts({"a": one}, "s", b=2) == (Fact("a", 1.5, "s"), Fact("b", 2, "s"))
    assert type(finding.facts(a=one)[0].value) is float
    assert finding.facts() == ()


# -- judging -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Says(Check):
    """Answers what it is told to, as a check of lvmcheck's own."""

    outcome: Any = None

    def judge(self, run: Run) -> Outcome:  # noqa: ARG002
        if isinstance(self.outcome, Exception):
            raise self.outcome
        assert isinstance(self.outcome, Outcome)
        return self.outcome


Says.__module__ = "lvmcheck.checks.curves.says"
GOES_ON = run_from({"val_loss": [1.0]}, config={"epochs": 2}, over=False)
ENDED = replace(GOES_ON, done={"status": "finished"})
STOPPED = replace(GOES_ON, done={"status": "stopped", "reason": "x"})
DIED = replace(GOES_ON, death="killed")
FOREIGN = replace(ENDED, as_it_ended=True)
WAITS = finding.pending("the end", evaluated=3)


def told(outcome: Outcome) -> tuple[str, Why | None, str, int]:
    return outcome.status.value, outcome.why, outcome.awaits, outcome.evaluated


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (GOES_ON, ("pending", Why.AWAITS, "the end", 3)),
        (ENDED, ("failed", Why.RUN_ENDED, "the end", 3)),
        (STOPPED, ("failed", Why.NOT_REACHED, "the end", 3)),
        (DIED, ("error", Why.RUN_DIED, "", 0)),
        (FOREIGN, ("not recorded", Why.NOT_RECORDED, "", 0)),
    ],
)
def test_what_an_ended_run_left_open(run: Run, expected: tuple[Any, ...]) -> None:
    settled = protocol.judge(Says(outcome=WAITS), run)
    assert told(settled) == expected
    assert run is GOES_ON or run.stopped_where() in settled.reason
    for outcome, _ in MADE:
        if outcome.status is not Status.PENDING:
            assert protocol.judge(Says(outcome=outcome), run) == outcome


FLOOR, ABORT = bounds.floor(0.5), bounds.abort(0.2)


@pytest.mark.parametrize(
    ("status", "measured", "held", "evaluated", "why"),
    [
        ("passed", 1.0, (), 1, None),
        ("passed", 1.0, (FLOOR,), 1, None),
        ("passed", 0.5, (FLOOR, ABORT), 1, None),
        ("passed", None, (), 1, None),
        ("passed", "a", (), 1, None),
        ("passed", "a", (bounds.equal("a"),), 1, None),
        ("passed", 1.0, (FLOOR,), 0, Why.NEVER_EVALUATED),
        ("passed", 0.4, (FLOOR,), 1, Why.CRASHED),
        ("passed", 0.6, (ABORT,), 1, Why.CRASHED),
        ("passed", 0.1, (ABORT,), 1, None),
        ("passed", math.nan, (), 1, Why.CRASHED),
        ("passed", "b", (bounds.equal("a"),), 1, Why.CRASHED),
        ("warning", 0.4, (FLOOR,), 1, None),
        ("warning", math.nan, (), 1, None),
        ("warning", 0.4, (FLOOR,), 0, Why.NEVER_EVALUATED),
        ("failed", math.nan, (FLOOR,), 0, None),
    ],
)
def test_what_a_pass_rests_on(
    status: str, measured: Any, held: tuple[Bound, ...], evaluated: int, why: Why | None
) -> None:
    found = Finding(code="c", measured=measured, bounds=held)
    outcome = Outcome(status=Status(status), finding=found, evaluated=evaluated)
    settled = protocol.judge(Says(outcome=outcome), ENDED)
    assert settled == outcome if why is None else (settled.status, settled.why) == (Status.ERROR, why)


class Foreign(Says):
    """A check of a user's own: it is asked in a thread."""


def test_a_check_of_the_users_is_asked() -> None:
    for outcome, _ in MADE[:5]:
        assert protocol.judge(Foreign(outcome=outcome), ENDED) == outcome
    assert protocol.judge(Foreign(), ENDED).why is Why.CRASHED


def test_a_pass_without_a_finding_and_a_crash() -> None:
    for outcome in (*(Outcome(status=Status(it), evaluated=1) for it in ("passed", "warning")), ValueError()):
        settled = protocol.judge(Says(outcome=outcome), ENDED)
        assert (settled.status, settled.why) == (Status.ERROR, Why.CRASHED)


# -- cases -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("expected", "got", "agree"),
    [
        (1.0, 1.0009, True),
        (1.0, 1.0011, False),
        (0.0, 1e-13, True),
        (0.0, 1e-11, False),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (1.0, math.nan, False),
        (1, 1.0, True),
        ("a", "a", True),
        ("a", "b", False),
        (True, True, True),
        (True, 1.0005, False),
        (None, None, True),
        (1.0, "a", False),
        ("a", 1.0, False),
        (1.0, None, False),
    ],
)
def test_what_agrees(expected: Any, got: Any, agree: bool) -> None:
    assert same(expected, got) == agree


def test_what_a_case_requires() -> None:
    found = Finding(code="c", measured=1.0, epoch=2, step=3, evidence=(Fact("a", 4),))
    good: dict[str, Any] = {"code": "c", "measured": 1.0, "epoch": 2, "step": 3, "facts": {"a": 4}}
    wrong: dict[str, Any] = {"code": "d", "measured": 1.1, "epoch": 1, "step": 1, "facts": {"a": 5}}
    blank = Case(name="n", check=Says(), run=ENDED)
    assert replace(blank, **good).mismatch(finding.failed(found)) == ""
    assert blank.mismatch(finding.error("x")) == ""
    for key in good:
        named = "fact a" if key == "facts" else key
        assert replace(blank, **{**good, key: wrong[key]}).mismatch(finding.failed(found)).startswith(f"{named}: ")
        assert replace(blank, **{key: good[key]}).mismatch(finding.error("x")).startswith(f"{named}: ")
    assert replace(blank, facts={"b": 4}).mismatch(finding.failed(found)).startswith("fact b: ")


# -- names and classes -------------------------------------------------------------------------------------------------
def test_names_labels_and_places() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Detailed(Says):
        def detail(self) -> str:
            return "a\nb"

    Detailed.__module__ = Says.__module__
    assert (Says.name(), Says().label(), Says().due(7)) == ("says", "says", 7)
    assert Check().detail() == ""
    assert "\n" not in Detailed().label()
    assert Detailed().label().startswith("says[a")
    with pytest.raises(NotImplementedError):
        Check().judge(ENDED)
    given = protocol.verdict(Says(outcome=finding.failed(ONE)), replace(ENDED, info={"seed": 4}), source="s")
    assert given == Verdict(name="says", check="says", outcome=finding.failed(ONE), seed=4, asked=None, source="s")
    told_before = protocol.verdict(Says(), ENDED, finding.error("x"), asked=Asked(file="f", line=2))
    assert (told_before.outcome, told_before.asked) == (finding.error("x"), Asked(file="f", line=2))
    assert [it.outcome for it in protocol.evaluate(ENDED, [Says(outcome=finding.failed(ONE))])] == [finding.failed(ONE)]


def test_checks_are_found_by_their_files() -> None:
    names = protocol.check_names()
    assert names == sorted(names)
    assert {"finite", "cosine_floor"} <= {*names}
    assert not {name for name in names if name.startswith("_")} | ({"cases", "epochs"} & {*names})
    assert protocol.load_check("finite").name() == "finite"
    assert protocol.load_check(f"{Says.__qualname__}:x".replace("Says:x", f"{__name__}:Says")) is Says
    for name in ("no_such", "no.such.module:Check", f"{__name__}:Missing", f"{__name__}:ONE", f"{__name__}:Finding"):
        with pytest.raises(InputError) as caught:
            protocol.load_check(name)
        assert name in caught.value.where
    passes, fails = protocol.cases("finite")
    assert len(passes) > 1 < len(fails)
    universal = protocol.universal_checks()
    assert {"finite"} <= {check.name() for check in universal}
    assert all(check.universal for check in universal)
    assert {it.check for it in protocol.evaluate(ENDED)} >= {check.name() for check in universal}


def test_a_module_defines_one_check() -> None:
    module = ModuleType("mine")

    @dataclass(frozen=True, kw_only=True)
    class Own(Says):
        pass

    Own.__module__ = "mine"
    module.Own, module.Says, module.other = Own, Says, 3  # type: ignore[attr-defined]
    assert protocol.check_class(module) is Own
    for wrong in (ModuleType("mine"), SimpleNamespace()):
        with pytest.raises(TypeError, match="exactly one"):
            protocol.check_class(wrong)
    module.Twice = type("Twice", (Own,), {"__module__": "mine"})  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="found 2"):
        protocol.check_class(module)


# -- what is not recorded ----------------------------------------------------------------------------------------------
def declared(run: Run, *metrics: str) -> Run:
    return replace(run, events=(ev.Declare(metrics=metrics), *run.events))


EMPTY = Run(info={"config": {"epochs": 2}})


@pytest.mark.parametrize(
    ("run", "metric", "missing"),
    [
        (GOES_ON, "val_loss", False),
        (GOES_ON, "other", False),
        (ENDED, "val_loss", False),
        (ENDED, "other", True),
        (declared(GOES_ON, "val_loss", "other"), "other", False),
        (declared(GOES_ON, "val_loss"), "other", True),
        (declared(ENDED, "val_loss", "other"), "other", True),
        (declared(EMPTY, "other"), "other", False),
        (declared(replace(EMPTY, done={"status": "finished"}), "other"), "other", False),
        (declared(replace(EMPTY, done={"status": "finished"}), "val_loss"), "other", True),
        (replace(EMPTY, done={"status": "finished"}), "other", False),
        (EMPTY, "other", False),
    ],
)
def test_a_metric_that_is_not_there(run: Run, metric: str, missing: bool) -> None:
    outcome = protocol.missing_metric(run, metric)
    assert (outcome is not None) == missing
    if outcome is not None:
        assert (outcome.status, outcome.why) == (Status.NOT_RECORDED, Why.NOT_RECORDED)
        promised = run.declared is not None and metric in run.declared
        assert ("declared" in outcome.reason, "val_loss" in outcome.reason) == (promised, not promised)
