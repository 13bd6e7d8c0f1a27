"""A red suite that is run again in every way, moved, edited, and run twice at once: nothing makes it green.

By default some of it; with ``LVM_RELIABILITY=full`` all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from suites.lvmcheck.plugin_kit.project import Project, floor

FULL = os.environ.get("LVM_RELIABILITY") == "full"
RED = (floor(1, 0.45), floor(3, 0.7), floor("final", 0.55))
AGAIN = (
    *((), ("--lf",), ("--ff",), ("--nf",), ("--sw",), ("-x",), ("--maxfail=1",), ("--lf", "--lfnf=none"), ("-n2",)),
    *(("-k", "epoch_3"), ("-n2", "--maxfail=1"), ("-n2", "--dist=loadgroup"), ("--runxfail",), ("-s",), ("--tb=no",)),
    *(("--lvm-inprocess",), ("--lvm-jobs=1",), ("--lvm-fresh",), ("--lvm-dir=elsewhere",), ("-W", "ignore")),
    *(("--import-mode=importlib",), ("--strict-markers",), ("-o", "python_files=x"), ("--no-summary",), ()),
)
OFF = (
    *("lvmcheck-owed", "lvmcheck-reports", "runner", "main", "terminal", "skipping", "logging", "capture", "stepwise"),
    *("junitxml", "warnings", "setuponly", "setupplan", "debugging", "assertion", "tmpdir", "fixtures", "python"),
    *("unittest", "faulthandler", "pastebin", "helpconfig", "xdist", "lvmcheck"),
)


def session(project: Project, *words: str) -> int:
    """The exit status of pytest with its cache, in this process."""
    result = project.pytester.runpytest_inprocess("-p", "no:benchmark", "-p", "no:hypothesispytest", "-q", *words)
    return int(result.ret)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    made = Project(pytester)
    made.suite(*RED)
    return made


def test_however_it_is_run_again(project: Project) -> None:
    for words in AGAIN if FULL else AGAIN[:2]:
        assert session(project, *words) == pytest.ExitCode.TESTS_FAILED, words


@pytest.mark.parametrize("name", OFF if FULL else OFF[:1])
def test_whatever_is_switched_off(project: Project, name: str) -> None:
    """pytest itself cannot start without some of its parts; where lvmcheck is off, no test is found."""
    assert project.pytest("-p", f"no:{name}", "-p", "no:cacheprovider", inside=not FULL).ret != 0


# -- what is edited ----------------------------------------------------------------------------------------------------
def better(text: str) -> str:
    return re.sub(r'_cosine":0\.5', '_cosine":0.8', text)


def shorter(text: str) -> str:
    return text.replace('"epochs": 4', '"epochs": 2')


EDITS: tuple[tuple[str, Callable[[str], str] | None, tuple[str, ...]], ...] = (
    ("events.jsonl", better, ("done.json",)),
    ("events.jsonl", better, ()),
    ("events.jsonl", better, ("done.json", "verdicts.json", "inputs.json")),
    ("events.jsonl", lambda text: "".join(text.splitlines(keepends=True)[:-4]), ("done.json",)),
    ("events.jsonl", lambda _: "", ("done.json",)),
    ("events.jsonl", None, ()),
    ("run.json", shorter, ()),
    ("run.json", shorter, ("done.json",)),
    ("run.json", None, ()),
    ("done.json", None, ()),
    ("done.json", lambda text: text.replace('"finished"', '"stopped"'), ()),
    ("verdicts.json", lambda text: text.replace('"failed"', '"passed"'), ()),
    ("inputs.json", None, ()),
    ("seen.json", None, ()),
)


@pytest.mark.parametrize("number", range(len(EDITS)) if FULL else [0])
def test_whatever_is_edited(project: Project, number: int) -> None:
    name, edit, gone = EDITS[number]
    session(project)
    file = project.run() / name
    assert file.exists()
    if edit is None:
        file.unlink()
    else:
        assert edit(file.read_text()) != file.read_text()
        file.write_text(edit(file.read_text()))
    for other in gone:
        (project.run() / other).unlink(missing_ok=True)
    assert [session(project) for _ in range(1 + FULL)] == [1] * (1 + FULL)


# -- what is moved -----------------------------------------------------------------------------------------------------
def good_run(project: Project) -> Path:
    """The run of a suite that asks for as much and gets it."""
    red = project.run()
    kept = red.rename(project.path / "red")
    project.suite(*RED, curve=[0.8] * 4)
    assert session(project) == 0
    good = project.run()
    project.suite(*RED)
    kept.rename(red)
    return good


def whole_run(project: Project) -> None:
    good, red = good_run(project), project.path / "kept"
    bad = next(path for path in good.parent.iterdir() if path.is_dir() and path != good)
    bad.rename(red)
    shutil.copytree(good, bad)


def all_but_the_record(project: Project) -> None:
    good = good_run(project)
    bad = next(path for path in good.parent.iterdir() if path.is_dir() and path != good)
    for name in ("events.jsonl", "done.json"):
        shutil.copy(good / name, bad / name)


def renamed(old: str, new: str) -> Callable[[Project], None]:
    def rename(project: Project) -> None:
        (project.path / old).rename(project.path / new)

    return rename


def of_a_run(project: Project) -> None:
    project.run().rename(project.run().with_name("old"))


def of_a_trainer(project: Project) -> None:
    (project.path / "toy.py").rename(project.path / "toys.py")


MOVES: tuple[Callable[[Project], None], ...] = (
    *(whole_run, all_but_the_record, of_a_run, renamed(".lvmcheck", "x"), renamed("suites/toy", "suites/other")),
    *(renamed("suites", "tests"), of_a_trainer),
)


@pytest.mark.parametrize("number", range(len(MOVES)) if FULL else [])
def test_whatever_is_moved(project: Project, number: int) -> None:
    session(project)
    MOVES[number](project)
    ended = [session(project) for _ in range(1 + FULL)]
    assert all(ended)
    assert ended[0] == 1 or MOVES[number] is of_a_trainer


def to_nothing(file: Path) -> None:
    file.symlink_to("nowhere")


@pytest.mark.parametrize("number", range(3) if FULL else [0])
def test_what_is_no_file_in_the_place_of_a_suite(project: Project, number: int) -> None:
    (project.path / "test_other.py").write_text("def test_passes():\n    pass\n")
    project.suite_file.unlink()
    (to_nothing, Path.mkdir, os.mkfifo)[number](project.suite_file)
    assert session(project) == pytest.ExitCode.INTERRUPTED


# -- together ----------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not FULL, reason="LVM_RELIABILITY=full")
@pytest.mark.parametrize("words", [(), ("--lvm-fresh",), ("-n2",), ("--lvm-inprocess",), ("-k", "epoch_3")])
def test_two_at_once(project: Project, words: tuple[str, ...]) -> None:
    project.suite(*RED, pause=0.01)
    both = [project.start(log="first.log"), project.start(*words, log="second.log")]
    assert [each.wait(120) for each in both] == [1, 1]
    assert session(project) == 1


@pytest.mark.skipif(not FULL, reason="LVM_RELIABILITY=full")
def test_a_report_is_not_that_of_an_earlier_session(project: Project) -> None:
    project.suite(floor(1, 0.45))
    assert session(project, "--lvm-json", "report.json") == 0
    project.suite(*RED)
    assert session(project, "--lvm-json", "report.json", "-p", "no:lvmcheck-reports") == 1
    assert json.loads((project.path / "report.json").read_text())["status"] == "failed"
