"""No control byte and no command to a runner from notes, names, exceptions, cells or samples on any surface."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from _pytest._io import TerminalWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lvmcheck
from lvmcheck.causes.wording import diagnosis_lines
from lvmcheck.checks.wording import asked_text, evidence_lines, outcome_text, sentence, subjects_text, verdict_text
from lvmcheck.commands._remarks import print_remarks
from lvmcheck.commands.main import main
from lvmcheck.errors import BadValueError, InputError, excerpt
from lvmcheck.pytest_plugin.pytest_api import FailureRepr
from lvmcheck.report.diagnosis import screen as diagnosis_screen
from lvmcheck.report.failure import Failure
from lvmcheck.report.machine.annotations import workflow_commands
from lvmcheck.report.machine.gitlab import code_quality
from lvmcheck.report.machine.markdown import comment
from lvmcheck.report.machine.openmetrics import openmetrics
from lvmcheck.report.terminal import summary_lines
from lvmcheck.text.fit import clean, fit, one_line
from lvmcheck.watch.live import Live
from suites.ci.gate_kit import scripts
from suites.lvmcheck.plugin_kit.project import Project, floor
from suites.reliability.hostile import (
    HOSTILE,
    WORST,
    commands,
    diagnosis_of,
    item_of,
    run_of,
    session_of,
    unfit,
    verdict_of,
    verdicts_of,
)
from suites.report.report_kit import page, report_of

FULL = os.environ.get("LVM_RELIABILITY") == "full"
EXAMPLES = 400 if FULL else 12
short = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=not FULL, suppress_health_check=list(HealthCheck), database=None
)
hostile = given(text=HOSTILE)


# -- the function ------------------------------------------------------------------------------------------------------
@settings(max_examples=EXAMPLES * 10, deadline=None, derandomize=not FULL, database=None)
@given(HOSTILE | st.text())
def test_what_is_made_fit_is_fit_and_stays_so(text: str) -> None:
    assert not unfit(clean(text))
    assert not unfit(one_line(text), lines=False)
    assert not unfit(excerpt(text), lines=False)
    assert len(excerpt(text, 10)) <= 10
    assert not unfit(fit(text))
    assert not commands(fit(text))
    for made in (one_line, fit):
        assert made(made(text)) == made(text)


@pytest.mark.parametrize(
    "text",
    ["", "val_loss", "two\n\tlines", "日本語 é ✓ 👩‍👧", "a :: b", "# ## title", "https://x", ":::: from cognate"],
)
def test_what_is_fit_is_left_as_it_is(text: str) -> None:
    assert clean(text) == text
    assert fit(text) == text.replace("::::", ": :::", 1)


# -- sentences ---------------------------------------------------------------------------------------------------------
@short
@hostile
def test_a_sentence_is_one_line_and_fit(text: str) -> None:
    for verdict in verdicts_of(text):
        said = [verdict_text(verdict), outcome_text(verdict.outcome), asked_text(verdict.asked, verdict.source)]
        said += evidence_lines(verdict.finding)
        if verdict.finding is not None:
            said += [sentence(verdict.finding), subjects_text(verdict.finding)]
        assert [line for line in said if unfit(line, lines=False)] == []
    assert [line for line in diagnosis_lines(diagnosis_of(text)) if unfit(line, lines=False)] == []
    for problem in (InputError(text, text, key=text, fix=text, line=1), BadValueError(text, text)):
        assert not unfit(str(problem), lines=False)
        assert not unfit(*problem.args, lines=False)
    assert not unfit(run_of(text).stopped_where(), lines=False)


# -- files -------------------------------------------------------------------------------------------------------------
@short
@hostile
def test_reports_are_fit(text: str) -> None:
    report = session_of(text)
    assert not unfit(comment(report))
    quality = code_quality(report)
    assert quality.isascii()
    assert len(json.loads(quality)) == 3
    metrics = openmetrics(report)
    assert not unfit(metrics, lines=False) or set(unfit(metrics, lines=False)) == {"U+000A"}
    assert [line for line in metrics.splitlines() if not line.startswith(("lvmcheck_", "# "))] == []


@short
@hostile
def test_an_annotation_is_one_command_and_no_more(text: str) -> None:
    lines = workflow_commands(session_of(text))
    assert len(lines) == 3
    for line in lines:
        assert not unfit(line, lines=False)
        parts = re.fullmatch(r"::error ([^:\n]*)::(.*)", line)
        assert parts is not None, line
        assert re.findall(r"%(?!25|0A|3A|2C)", line) == []
        assert [name for name, _, _ in (it.partition("=") for it in parts[1].split(","))] == ["file", "line", "title"]


@settings(short, max_examples=EXAMPLES // 4)
@hostile
def test_the_page_is_fit(text: str) -> None:
    assert not unfit(page(report_of(run_of(text), *verdicts_of(text), label=text)))


# -- terminals ---------------------------------------------------------------------------------------------------------
class Written:
    """A file that a terminal writer writes to."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def shown(text: str, *, lines: int | None = None) -> None:
    """A terminal shows this: it is fit, and has as many lines as it should."""
    assert not unfit(text)
    assert not commands(text)
    assert lines is None or text.count("\n") == lines, text


@short
@hostile
def test_pytests_screen_is_fit(text: str) -> None:
    out = Written()
    failure = Failure(headline=text, lines=(text, *map(verdict_text, verdicts_of(text))), path=Path("a"), line=1)
    FailureRepr(failure).toterminal(TerminalWriter(out))  # type: ignore[arg-type]
    shown(out.text)
    shown(str(FailureRepr(failure)))
    shown(fit("\n".join(summary_lines(item_of(one_line(text)), 80))))


@short
@hostile
def test_screens_of_commands_are_fit(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(text)
    print_remarks(run, verdicts_of(text), verbose=True)
    Live(None).note(text)
    said = capsys.readouterr()
    shown(said.out)
    shown(said.err, lines=1)
    shown(fit("\n".join(diagnosis_screen(run, [], verdicts_of(text)))))


@settings(short, max_examples=EXAMPLES // 2)
@given(text=HOSTILE.filter(lambda text: "\0" not in text))
def test_commands_that_are_given_it_are_fit(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    word = os.fsdecode(text.encode("utf-8", "replace"))
    for words in ([word], ["explain", word], ["check", word], ["check", ".", word], ["diagnose", word], ["list", word]):
        with contextlib.suppress(SystemExit):
            main(words)
        said = capsys.readouterr()
        shown(said.out)
        shown(said.err)


@settings(short, max_examples=EXAMPLES // 2)
@given(name=HOSTILE, cell=HOSTILE)
def test_a_table_of_somebody_else_is_shown_fit(
    name: str, cell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "log.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "train_loss", name])
        rows.writerows([[i, 1.0 / i, cell if i == 3 else i] for i in range(1, 9)])
    for words in (["check", str(path), "-v"], ["diagnose", str(path)], ["check", str(path), "--json"]):
        main(words)
        said = capsys.readouterr()
        shown(said.out)
        shown(said.err)


@settings(short, max_examples=EXAMPLES // 4)
@given(text=HOSTILE.filter(lambda text: text.encode("utf-8", "ignore").decode() == text))
def test_a_recorded_run_is_shown_fit(
    text: str, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    with lvmcheck.record(folder, config={"lr": 0.1, text: text}) as rec:
        rec.note(text)
        rec.data(name=text, fingerprint=text, facts={text: text})
        rec.sample(text, prompt=text, text=text)
        for epoch in range(1, 4):
            rec.epoch(epoch, val_loss=1 / epoch, **({text: 0.5 * epoch} if text else {}))
        rec.ask_to_stop(text)
    capsys.readouterr()
    for words in (["check", "-v"], ["diagnose"], ["check", "--follow"], ["compare"], ["check", "--json"]):
        main([words[0], str(folder), *([str(folder)] if words == ["compare"] else []), *words[1:]])
        said = capsys.readouterr()
        shown(said.out)
        shown(said.err)
        if words[-1] == "--json":
            assert said.out.isascii()
            json.loads(said.out)


# -- the gate ----------------------------------------------------------------------------------------------------------
@short
@hostile
def test_the_gate_says_it_on_one_line(text: str) -> None:
    gate, _ = scripts()
    reason = gate.Reason("file_missing", text, text, text)
    (line,) = gate.screen([reason])
    assert not unfit(line, lines=False)
    assert not commands(line)


# -- pytest as a whole -------------------------------------------------------------------------------------------------
TRAINER = """
def train(config, rec):
    rec.data(name=TEXT, fingerprint="x", facts={TEXT: TEXT})
    rec.note(TEXT)
    print(TEXT)
    for epoch in range(1, config["epochs"] + 1):
        rec.epoch(epoch, val_cosine=0.1 * epoch, **{TEXT: 1.0})
    if config["raises"]:
        raise ValueError(TEXT)
"""
"""Tells everything by a text that nothing of it should reach the screen as it is."""


@pytest.mark.own_process
@pytest.mark.parametrize("raises", [False, True])
def test_a_session_is_fit_on_screen_in_summary_and_junit(
    raises: bool, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = WORST.encode("utf-8", "ignore").decode().replace("\0", "")
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    project = Project(pytester)
    (project.path / "hostile_trainer.py").write_text(f"TEXT = {text!r}\n{TRAINER}")
    key = json.dumps("a\x1b[31m\n::error::owned")
    checks = [floor(1, 0.45, f"source = {key}", metric="val_cosine"), floor(1, 0.1, metric="a\\u001b[31m\\n::error::b")]
    project.suite(*checks, trainer="hostile_trainer:train", raises=raises, curve=None, steps=None, window=None)
    result = project.pytest("-v", "-rA", "--junitxml=junit.xml", "--lvm-report=page.html", "--lvm-markdown=c.md")
    assert result.ret == 1
    screen = result.stdout.str().replace(str(project.path), "")
    ours = [
        line for line in screen.splitlines() if not re.fullmatch(r"::(error|warning) file=[^:]*::[^\x00-\x1f]*", line)
    ]
    assert 1 <= len(screen.splitlines()) - len(ours) <= 6, "the annotations themselves"
    shown("\n".join(ours))
    assert "owned" in screen, "it was told, only harmlessly"
    for file in (summary, project.path / "page.html", project.path / "c.md"):
        assert not unfit(file.read_text(encoding="utf-8")), file
    for element in ET.parse(project.path / "junit.xml").iter():
        for value in (element.text or "", *element.attrib.values()):
            assert not unfit(value), value


def test_the_oracle_sees_each_piece() -> None:
    """Every hostile piece is caught where nothing makes it fit."""
    raw: Callable[[str], str] = str
    assert unfit(raw(verdict_of("\x1b[31m").name))
    for piece in ("\x1b[31m", "\x9b2J", "\r", "\u202e", "\ud800", "\u2028", "\x85"):
        assert unfit(piece), piece
    for piece in ("::error::x", "a\n  ::add-mask::x", "a ##[error]x", "##vso[x]"):
        assert commands(piece), piece
    assert not unfit("two\n\tlines") + commands("a::b # ##")
