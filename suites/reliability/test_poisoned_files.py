"""Whatever lies in place of a file of a run directory, or of an input, is refused at once, and the session goes on."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lvmcheck.errors import InputError
from lvmcheck.launch.existing_run import Aside, ExistingRun, examine
from lvmcheck.launch.key import file_digest
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.run import directory as rundir
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.start import record
from lvmcheck.suite import load_suite
from suites.lvmcheck.plugin_kit.project import Project, floor

FULL = os.environ.get("LVM_RELIABILITY") == "full"
LIMIT = 2.0
"""Seconds within which anything must be refused."""


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 33)


KINDS: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a directory": Path.mkdir,
    "a huge file": sparse,
    "deep JSON": lambda path: path.write_text("[" * 200_000),
    "a deep object": lambda path: path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000),
    "a long integer": lambda path: path.write_text('{"event": "epoch", "epoch": 1' + "0" * 30 + "}\n"),
    "a longer integer": lambda path: path.write_text('{"a": ' + "9" * 100_000 + "}\n"),
    "a loop of links": lambda path: path.symlink_to(path.name),
    "no UTF-8": lambda path: path.write_bytes(b"\xff\xfe{"),
    "nothing": Path.touch,
}
SESSIONS = [("events.jsonl", "a FIFO"), ("judged", "a FIFO")]


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    made = Project(pytester)
    made.suite(floor(1, 0.45))
    made.pytest().assert_outcomes(passed=1)
    return made


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def replaced(path: Path, kind: str) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    KINDS[kind](path)


def test_every_file_by_every_kind(project: Project) -> None:
    """Of a finished run, and of one that was killed: moved aside with a reason, used, or continued, at once."""
    sys.path.insert(0, str(project.path))
    try:
        settings = Settings(home=project.home, root=project.path, session="another", start=project.path)
        plan = Plan(load_suite(project.suite_file), 0, settings)
        before = project.run()
        vars(plan)["key"] = {**plan.key, "key": json.loads((before / rundir.INFO).read_text())["key"]}
    finally:
        sys.path.remove(str(project.path))
    assert plan.folder == before
    assert isinstance(examine(plan), ExistingRun)
    kept = project.path / "kept"
    shutil.copytree(before, kept)
    names = [*files_of(before), rundir.STOP, rundir.FAILURE, rundir.CHECKPOINTS]
    assert {rundir.INFO, rundir.EVENTS, rundir.DONE, rundir.OUTPUT, "inputs.json", "opened.jsonl"} <= {*names}
    for ended in (True, False) if FULL else (False,):
        for name in names:
            for kind in KINDS:
                shutil.rmtree(before)
                shutil.copytree(kept, before)
                if not ended and name != rundir.DONE:
                    (before / rundir.DONE).unlink()
                (before / name).touch() if not (before / name).exists() else None
                replaced(before / name, kind)
                began = time.process_time()
                found = examine(plan)
                assert time.process_time() - began < LIMIT, (name, kind)
                if isinstance(found, Aside):
                    assert found.path is not None
                    assert "\n" not in found.reason
                    assert (read_json(found.path / "aside.json") or {}).get("reason") == found.reason
                    shutil.rmtree(found.path)
                    shutil.copytree(kept, before)
                else:
                    assert kind not in ("a FIFO", "an endless device", "a terminal", "a loop of links"), (name, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_recording_is_not_continued_there(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "run"
    with record(folder) as rec:
        rec.epoch(1, val_loss=1.0)
    replaced(folder / rundir.EVENTS, kind)
    began = time.process_time()
    try:
        record(folder, resume="auto").close("finished")
    except InputError as problem:
        assert "events.jsonl" in str(problem)  # noqa: PT017 - an empty file may be continued
    else:
        assert kind in ("nothing", "deep JSON", "a deep object", "no UTF-8")  # dropped: cut short
    assert time.process_time() - began < LIMIT


@pytest.mark.parametrize("kind", ["a FIFO", "an endless device", "a terminal", "a directory", "a loop of links"])
def test_an_input_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / "data.npz")
    began = time.process_time()
    with pytest.raises(InputError, match=r"data.npz: cannot be read"):
        file_digest(tmp_path / "data.npz", tmp_path / "cache")
    assert time.process_time() - began < LIMIT


@pytest.mark.parametrize("kind", ["a FIFO", "an endless device", "a terminal", "a huge file", "deep JSON", "nothing"])
def test_a_suite_file_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / "suite.toml")
    began = time.process_time()
    with pytest.raises(InputError, match=r"suite.toml"):
        load_suite(tmp_path / "suite.toml")
    assert time.process_time() - began < LIMIT


@pytest.mark.parametrize(("name", "kind"), SESSIONS)
def test_a_session_goes_on(project: Project, name: str, kind: str) -> None:
    for ended in (True, False) if FULL else (False,):
        folder = project.run()
        if not ended:
            (folder / rundir.DONE).unlink(missing_ok=True)
        replaced(folder / name, kind)
        began = time.monotonic()
        result = project.pytest("-v")
        result.assert_outcomes(passed=1)
        assert time.monotonic() - began < 120
        assert "INTERNALERROR" not in result.stdout.str()


@pytest.mark.skipif(not FULL, reason="LVM_RELIABILITY=full: takes minutes")
@pytest.mark.parametrize("kind", KINDS)
def test_a_session_goes_on_whatever_lies_there(project: Project, kind: str) -> None:
    for name in [*files_of(project.run()), rundir.STOP, rundir.FAILURE, rundir.CHECKPOINTS]:
        folder = project.run()
        if (folder / name).exists():
            replaced(folder / name, kind)
        else:
            KINDS[kind](folder / name)
        began = time.monotonic()
        project.pytest("-v").assert_outcomes(passed=1)
        assert time.monotonic() - began < 120, name
