"""Texts that try to move a cursor, to turn the direction or to command a runner, and what must never be shown."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from lvmcheck.checks.bounds import floor
from lvmcheck.checks.finding import Asked, Fact, Finding, Status, Verdict, Why, compared, error, not_applicable, passed
from lvmcheck.report.item import ItemReport
from lvmcheck.report.machine.session import SessionReport, Trouble
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from suites.report.golden_kit import CAUSE, session
from suites.report.report_kit import epochs

PIECES = (
    *("\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\x00", "\x08\x08\x08", "\x7f", "\x85", "\x0b", "\x0c"),
    *("\r", "\n", "\r\n", "\t", "\u2028", "\u2029", "\u202e", "\u2066", "\u200f", "\ufeff", "\ud800", "\udc9b"),
    *("::error::owned", "::error file=a,line=1::owned", "::add-mask::x", "::set-output name=a::b", "%0A::error::owned"),
    *("##[error]owned", "##[group]x", "##vso[task.complete result=Succeeded]", "##teamcity[testFailed name='x']"),
    *("\n::error::owned", "\r::error::owned", "\n  ::error::owned", "\n1 passed in 0.01s", "  ", "::", "##", "#"),
    *("`", "|", "<script>", "]]>", "name", "val_loss", "\u00e9", "\u65e5\u672c", "\U000e0041"),
)
HOSTILE = st.lists(st.sampled_from(PIECES) | st.characters(), min_size=1, max_size=6).map("".join)
WORST = "".join(PIECES)
"""All of it at once."""
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
RUNNER = re.compile(r"^\s*::|##\[|##vso\[|##teamcity\[", re.MULTILINE)


def unfit(text: str, *, lines: bool = True) -> list[str]:
    """What of a text must not be shown, by the tables of Unicode; an oracle that shares nothing with lvmcheck."""
    return [
        f"U+{ord(char):04X}"
        for char in text
        if (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") and not (lines and char in "\n\t"))
        or unicodedata.bidirectional(char) in TURNING
    ]


def commands(text: str) -> list[str]:
    """What the log of a job would obey."""
    return RUNNER.findall(text)


def verdict_of(text: str, status: Status = Status.FAILED) -> Verdict:
    """The text wherever a verdict can hold it."""
    found = Finding(
        code=text,
        metric=text,
        measured=text,
        unit=text,
        bounds=(floor(0.5, text),),
        evidence=(Fact(text, text, text), Fact("modules", text)),
    )
    outcome = {
        Status.FAILED: compared(replace(found, measured=0.25)),
        Status.PASSED: passed(replace(found, bounds=()), evaluated=1),
        Status.ERROR: error(text),
    }.get(status, not_applicable(text, Why.OTHER))
    return Verdict(
        name=f"finite[{text}]", check="finite", outcome=outcome, seed=0, asked=Asked(file=text, line=3), source=text
    )


def verdicts_of(text: str) -> list[Verdict]:
    each = (Status.FAILED, Status.PASSED, Status.ERROR, Status.NOT_APPLICABLE)
    return [replace(verdict_of(text, status), name=f"{status.value}[{text}]") for status in each]


def diagnosis_of(text: str) -> Any:
    facts = (Fact("term", text), Fact("share", 98.2, text), Fact(text, text, text))
    return replace(CAUSE, evidence=facts, fix=text, next=text, tell_apart=text)


def run_of(text: str) -> Run:
    """The text wherever a run can hold it."""
    said: list[ev.Event] = [
        ev.Data(name=text, fingerprint=text, facts={text: text, "gate.parts": [text]}, notes=(text,)),
        ev.Model(kind=text, parameters=1),
        ev.Stage(index=0, name=text, epoch=1, step=0, fingerprint=text),
        ev.Sample(name=text, epoch=1, step=1, prompt=text, text=text, answer=text, dataset=text),
        ev.Note(text=text),
        *epochs({text or "a": [1.0, 2.0], "val_cosine": [0.1, 0.2]}),
    ]
    info: dict[str, Any] = dict.fromkeys(("suite", "profile", "device", "trainer", "created", "platform"), text)
    info |= {"config": {text: text}, "versions": {text: text}}
    return Run(events=tuple(said), info=info, done={"status": "stopped", "reason": text})


def item_of(text: str) -> list[ItemReport]:
    own = {"suite": text, "profile": text, "file": text, "run": text, "ended": run_of(text).stopped_where()}
    return [ItemReport(verdict=it, show_when_passed=True, **own) for it in verdicts_of(text)]


def session_of(text: str) -> SessionReport:
    """A session whose suites, runs, checks and causes are all named by the text."""
    plain = session()
    (suite,) = plain.suites
    (run,) = suite.runs
    checks = [replace(check, verdict=it, node=text) for check, it in zip(suite.checks, verdicts_of(text), strict=False)]
    hostile = replace(
        suite,
        name=text, about=text, file=text, profile=text, device=text, trainer=text, overridden=(text,),
        runs=(replace(run, folder=text, device=text, used_device=text, ended=text, reused=text),),
        checks=tuple(checks),
        causes=(replace(suite.causes[0], diagnosis=diagnosis_of(text), message=text),),
    )  # fmt: skip
    return replace(
        plain, status="failed", suites=(hostile,), troubles=(Trouble(where=text, when="call", message=text),)
    )
