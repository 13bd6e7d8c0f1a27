"""A check of a user's own that does anything but answer is an error of that check, and judging goes on."""

from __future__ import annotations

import _thread
import importlib
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from lvmcheck.checks import protocol
from lvmcheck.checks.bounds import abort, band, equal, floor
from lvmcheck.checks.finding import Finding, Outcome, Status, Why, compared, failed, passed
from lvmcheck.checks.protocol import Check
from lvmcheck.run.view import Run, run_from
from suites.lvmcheck.plugin_kit.project import NODE_1, Project, verdicts

RUN = run_from({"val_loss": [3.0, 2.0]})
GOOD = Finding(code="measured", measured=1.0, bounds=(floor(0.5),))


def leave() -> None:
    sys.exit(0)


def exit_at_once() -> None:
    os._exit(0)


def press_ctrl_c() -> None:
    raise KeyboardInterrupt


def recurse() -> None:
    recurse()


def raise_what_has_no_text() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise SystemExit(0)

    raise MuteError


LEAVES: dict[str, Callable[[], object]] = {
    "sys.exit(0)": leave,
    "os._exit(0)": exit_at_once,
    "pytest.skip": lambda: pytest.skip("not today"),
    "pytest.xfail": lambda: pytest.xfail("known"),
    "pytest.exit": lambda: pytest.exit("enough", returncode=0),
    "pytest.fail": lambda: pytest.fail("no"),
    "KeyboardInterrupt": press_ctrl_c,
    "thread exit": _thread.exit,
    "RecursionError": recurse,
    "an exception without text": raise_what_has_no_text,
}
ANSWERS: dict[str, Any] = {
    "None": None,
    "True": True,
    "passed": "passed",
    "a status": Status.PASSED,
    "no finding": Outcome(status=Status.PASSED, evaluated=1),
    "no comparison": Outcome(status=Status.PASSED, finding=GOOD),
    "NaN comparisons": Outcome(status=Status.PASSED, finding=GOOD, evaluated=math.nan),  # type: ignore[arg-type]
    "NaN": passed(replace(GOOD, measured=math.nan)),
    "NaN without a bound": passed(Finding(code="measured", measured=math.nan)),
    "below its floor": passed(replace(GOOD, measured=0.4)),
    "beyond its abort": passed(replace(GOOD, measured=0.6, bounds=(abort(0.7), floor(0.5)))),
    "outside its band": passed(replace(GOOD, bounds=band(2.0, 3.0))),
    "not equal": passed(replace(GOOD, bounds=(equal(2),))),
    "a text beside a floor": passed(replace(GOOD, measured="high")),
    "nothing measured beside a floor": passed(replace(GOOD, measured=None)),
    "a floor of NaN": passed(replace(GOOD, bounds=(floor(math.nan),))),
    "a phrase over nothing": passed(replace(GOOD, phrase="{measured.__class__}")),
    "a finding of another type": Outcome(status=Status.PASSED, finding="fine", evaluated=1),  # type: ignore[arg-type]
    "bounds that are none": passed(replace(GOOD, bounds="none")),  # type: ignore[arg-type]
}


@dataclass(frozen=True, kw_only=True)
class Foreign(Check):
    """Does ``act`` and returns what it returns."""

    act: Callable[[], Any]

    def judge(self, run: Run) -> Outcome:  # noqa: ARG002 - it never looks
        return self.act()  # type: ignore[no-any-return]


def judged(act: Callable[[], Any], limit: float = 30.0) -> Outcome:
    return protocol.judge(Foreign(act=act), RUN, limit=limit)


@pytest.mark.parametrize("way", LEAVES)
def test_a_check_cannot_leave(way: str) -> None:
    outcome = judged(LEAVES[way])
    assert outcome.status is Status.ERROR
    assert outcome.why is Why.CRASHED
    assert outcome.decided


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_no_answer_is_no_pass(answer: str) -> None:
    outcome = judged(lambda: ANSWERS[answer])
    assert type(outcome) is Outcome
    assert outcome.status is Status.ERROR


def test_an_answer_passes_as_it_is() -> None:
    for outcome in (passed(GOOD), failed(replace(GOOD, measured=math.inf)), compared(replace(GOOD, measured=0.1))):
        assert judged(partial(replace, outcome)) == outcome


def test_a_check_that_loops_for_ever_has_a_limit_and_is_located() -> None:
    def loop() -> None:
        while True:
            pass

    began = time.monotonic()
    outcome = judged(loop, limit=0.3)
    assert time.monotonic() - began < 60
    assert (outcome.status, outcome.why) == (Status.ERROR, Why.CRASHED)
    assert __file__.rpartition("/")[2] in outcome.reason


def test_a_late_exit_does_not_end_the_session() -> None:
    def late() -> None:
        time.sleep(0.2)
        os._exit(0)

    assert judged(late, limit=0.05).status is Status.ERROR
    time.sleep(0.5)


# -- both guards of "a check that was never evaluated has not passed" --------------------------------------------------
def test_a_pass_without_comparison_cannot_be_made() -> None:
    assert passed(GOOD, evaluated=0).why is Why.NEVER_EVALUATED
    assert compared(GOOD, evaluated=0).status is Status.ERROR


def test_a_pass_without_comparison_is_refused_of_any_check() -> None:
    class Own(Check):
        def judge(self, run: Run) -> Outcome:  # noqa: ARG002
            return Outcome(status=Status.PASSED, finding=GOOD)

    for module in (__name__, "lvmcheck.checks.curves.own"):
        Own.__module__ = module
        outcome = protocol.judge(Own(), RUN)
        assert (outcome.status, outcome.why) == (Status.ERROR, Why.NEVER_EVALUATED)


def test_a_check_of_lvmcheck_that_passes_beyond_its_bound_is_an_error_too() -> None:
    class Own(Check):
        def judge(self, run: Run) -> Outcome:  # noqa: ARG002
            return passed(replace(GOOD, measured=0.1))

    Own.__module__ = "lvmcheck.checks.curves.own"
    assert protocol.judge(Own(), RUN).status is Status.ERROR


# -- through pytest ----------------------------------------------------------------------------------------------------
CHECK = """
import os, sys, time
from dataclasses import dataclass
import pytest
from lvmcheck import Check

@dataclass(frozen=True, kw_only=True)
class Mine(Check):
    def judge(self, run):
        {act}
"""
ACTS = {
    "exits": "sys.exit(0)",
    "exits at once": "os._exit(0)",
    "skips": "pytest.skip('no')",
    "interrupts": "raise KeyboardInterrupt",
    "returns nothing": "return None",
    "returns passed": "return 'passed'",
    "hangs": "time.sleep(3600)",
}
SHOWN = {("exits at once", "0"), ("exits at once", "2"), ("interrupts", "0"), ("returns nothing", "0"), ("hangs", "0")}
"""Of every kind one session by default; the others are judged without a session above."""


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("act", ACTS)
def test_the_session_goes_on(project: Project, act: str, workers: str) -> None:
    if workers != "0" and act not in ("exits at once", "hangs"):
        pytest.skip("one process has shown it")
    if (act, workers) not in SHOWN and os.environ.get("LVM_RELIABILITY") != "full":
        pytest.skip("LVM_RELIABILITY=full")
    (project.path / "mine.py").write_text(CHECK.format(act=ACTS[act]))
    entries = ['[[check]]\ncheck = "mine:Mine"\n', project.suite_file.read_text().split("[[check]]")[1]]
    project.suite(entries[0], f"[[check]]{entries[1]}")
    result = project.pytest("-v", "-n", workers, "--lvm-check-timeout", "1", inside=False)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(result) == {"seed0::mine": "FAILED", f"seed0::{NODE_1}": "PASSED"}
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    "act", ["sys.exit(0)", "pytest.skip('no', allow_module_level=True)", "raise KeyboardInterrupt"]
)
def test_a_module_of_checks_that_leaves_is_refused(project: Project, act: str) -> None:
    (project.path / "mine.py").write_text(f"import sys, pytest\n{act}\n")
    project.suite('[[check]]\ncheck = "mine:Mine"\n')
    result = project.pytest("-v", inside=False)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "cannot be imported" in result.stdout.str() + result.stderr.str()
    assert importlib.import_module("os")._exit is os._exit
