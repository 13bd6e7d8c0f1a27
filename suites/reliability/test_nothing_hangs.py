"""A trainer that hangs is found, shown and ended; no process outlives its session; who ended it is said as measured."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lvmcheck.launch import guard
from lvmcheck.launch.process import TrainerProcess, stack_lines
from lvmcheck.run import directory as rundir
from suites.lvmcheck.plugin_kit.project import (
    NODE_1,
    NODE_END,
    OPTIONS,
    Project,
    alive,
    floor,
    trainers_of,
    verdicts,
    wait_for,
)

HANGS = '''
import threading, time
import toy

def wait_for_ever():
    threading.Event().wait()

def take_memory(config, rec):
    toy.train({**config, "epochs": 1}, rec)
    kept = []
    while True:
        kept.append(bytearray(b"x" * (8 << 20)))

def loop_for_ever():
    while True:
        pass

def before_training(config, rec):
    wait_for_ever()

def while_training(config, rec):
    toy.train({**config, "epochs": 1}, rec)
    threading.Thread(target=wait_for_ever, daemon=True).start()
    loop_for_ever()

def slowly(config, rec):
    """Steps, but no event and no output for longer than the limit."""
    for step in range(40):
        time.sleep(0.1)
        rec.step(loss=1.0 / (1 + step))
    for epoch in range(1, config["epochs"] + 1):
        rec.epoch(epoch, val_cosine=0.5)
'''
ORPHANS = '''
import os, subprocess, sys, time
import toy
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]

def leaves(config, rec):
    """A daemon of the old school, one without any variable, and one that ignores signals."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve(sys.executable, [*SLEEP, "a"], {})
        os._exit(0)
    ignoring = "import signal, time; signal.signal(15, signal.SIG_IGN); signal.signal(1, signal.SIG_IGN); "
    subprocess.Popen([sys.executable, "-c", ignoring + "time.sleep(600)"], start_new_session=True, env={})
    os.wait()
    time.sleep(0.3)
    toy.train(config, rec)

def dies(config, rec):
    leaves({**config, "epochs": 1}, rec)
    os._exit(0)

def waits(config, rec):
    leaves({**config, "epochs": 1}, rec)
    time.sleep(600)
'''


FULL = os.environ.get("LVM_RELIABILITY") == "full"
LONG = pytest.mark.skipif(not FULL, reason="LVM_RELIABILITY=full")


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    made = Project(pytester)
    (made.path / "hangs.py").write_text(HANGS)
    (made.path / "orphans.py").write_text(ORPHANS)
    return made


@pytest.mark.parametrize(
    ("trainer", "where", "first"),
    [
        pytest.param("before_training", "wait_for_ever", "FAILED", marks=LONG),
        ("while_training", "loop_for_ever", "PASSED"),
    ],
)
def test_a_trainer_that_hangs_is_ended_and_its_stacks_are_shown(
    project: Project, trainer: str, where: str, first: str
) -> None:
    project.suite(floor(1, 0.45), floor("final", 0.45), trainer=f"hangs:{trainer}", timeout=1.0)
    began = time.monotonic()
    result = project.pytest("-v")
    assert time.monotonic() - began < 120
    assert verdicts(result) == {f"seed0::{NODE_1}": first, f"seed0::{NODE_END}": "FAILED"}
    text = result.stdout.str()
    assert re.search(r"gave no sign of life for \d+ s", text)
    assert re.search(rf'File ".*/hangs.py", line \d+ in {where}', text)
    shown = " ".join(stack_lines(project.run()))
    assert where in shown
    if trainer == "while_training":
        assert "wait_for_ever" in shown  # the other thread
    assert not trainers_of(project.run())


@LONG
def test_the_option_comes_before_the_suite(project: Project) -> None:
    project.suite(floor(1, 0.45), trainer="hangs:before_training", timeout=600)
    began = time.monotonic()
    project.pytest("--lvm-timeout", "0.5").assert_outcomes(failed=1)
    assert time.monotonic() - began < 120


def test_steps_are_signs_of_life_although_nothing_is_written(project: Project) -> None:
    project.suite(floor(1, 0.45), trainer="hangs:slowly", timeout=3.0, window=1000)
    project.pytest().assert_outcomes(passed=1)


@pytest.mark.parametrize("value", ["0", "nan", "soon"])
def test_a_limit_that_is_none_is_refused(project: Project, value: str) -> None:
    result = project.pytest("--lvm-timeout", value)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"--lvm-timeout: expected seconds above 0, got {value}" in result.stderr.str()


def test_a_limit_of_a_suite_that_is_none_is_refused(project: Project) -> None:
    for key, value, said in (("timeout", 0, "seconds above 0"), ("env", ["A=B"], "names of environment variables")):
        project.suite(floor(1, 0.45), **{key: value})
        result = project.pytest()
        assert result.ret == pytest.ExitCode.INTERRUPTED
        assert said in result.stdout.str()


# -- nothing is left behind --------------------------------------------------------------------------------------------
def sleepers(since: float) -> list[int]:
    """Processes of this test that sleep for ten minutes."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, began = (entry / "cmdline").read_bytes(), entry.stat().st_mtime
        except OSError:
            continue
        if b"time.sleep(600)" in command and began >= since and alive(int(entry.name)):
            found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="Linux only")
@pytest.mark.parametrize("trainer", [pytest.param("leaves", marks=LONG), "dies"])
def test_what_left_the_process_group_ends_with_the_trainer(project: Project, trainer: str) -> None:
    before = {*sleepers(0)}
    project.suite(floor("final", 0.45), trainer=f"orphans:{trainer}")
    project.pytest().assert_outcomes(**{"passed" if trainer == "leaves" else "failed": 1})
    wait_for(lambda: not {*sleepers(0)} - before)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="Linux only")
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=LONG)])
def test_nothing_outlives_a_session_that_is_killed(project: Project, number: signal.Signals) -> None:
    before = {*sleepers(0)}
    project.suite(floor("final", 0.45), trainer="orphans:waits")
    session = project.start()
    try:
        wait_for(lambda: len({*sleepers(0)} - before) == 2)
        session.send_signal(number)
        session.wait(timeout=60)
        wait_for(lambda: not {*sleepers(0)} - before)
        wait_for(lambda: not trainers_of(project.run()))
    finally:
        session.kill()
        session.wait()


# -- who ended it ------------------------------------------------------------------------------------------------------
KILLS: list[tuple[dict[str, object], list[str], list[str]]] = [
    ({"peak_bytes": 3_000_000_000, "oom_kills": 1}, ["likely out of memory", "3,000 MB", "1 such"], []),
    ({"peak_bytes": 45_000_000, "oom_kills": 0}, ["not by lvmcheck", "45 MB", "no out-of-memory"], ["likely"]),
    ({"peak_bytes": 45_000_000}, ["nobody counts"], ["likely"]),
    ({"peak_bytes": 45_000_000, "killed_by_us": True, "oom_kills": 1}, [], ["memory", "MB"]),
    ({}, [], ["memory", "MB"]),
]


def test_a_kill_is_explained_by_what_was_measured(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"trainer": "toy:train", "config": {}}))
    process = TrainerProcess(tmp_path, cwd=tmp_path, environment={**os.environ, "PYTHONPATH": ""})
    os.kill(process.pid, signal.SIGKILL)
    while process.exit_code() is None:
        time.sleep(0.01)
    process.stop()
    for measured, words, not_words in KILLS:
        (tmp_path / guard.ENDED).write_text(json.dumps(measured))
        said = process.ended()
        assert said.startswith("killed by SIGKILL")
        assert all(word in said for word in words), said
        assert not any(word in said for word in not_words), said


def test_the_kernel_s_count_is_read_where_there_is_one() -> None:
    count = guard.oom_kills()
    assert count is None or count >= 0


@LONG
def test_output_of_the_guard_is_none(project: Project) -> None:
    project.suite(floor(1, 0.45))
    project.pytest().assert_outcomes(passed=1)
    assert (project.run() / rundir.OUTPUT).read_bytes() == b""
    assert json.loads((project.run() / guard.ENDED).read_text())["peak_bytes"] > 1_000_000


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A control group of 500 MB, where this process may make one."""
    for line in Path("/proc/self/cgroup").read_text().splitlines() if Path("/proc/self/cgroup").exists() else ():
        _, names, path = line.split(":", 2)
        if names and "memory" not in names.split(","):
            continue
        root, limit = (guard.V1, "memory.limit_in_bytes") if names else (guard.V2, "memory.max")
        group = Path(f"{root}{path.rstrip('/')}/lvmcheck-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(500 << 20))
            yield group
            return
        except OSError:
            continue
        finally:
            group.rmdir()
    pytest.skip("no control group with a limit of memory can be made here")


def test_an_out_of_memory_kill_is_named(project: Project, small_memory: Path) -> None:
    project.suite(floor(1, 0.45), floor("final", 0.45), trainer="hangs:take_memory")
    script = f'echo $$ > {small_memory}/cgroup.procs && exec "$@"'
    words = ["sh", "-c", script, "sh", sys.executable, "-m", "pytest", *OPTIONS, "-v"]
    done = subprocess.run(words, cwd=project.path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert re.search(rf"{re.escape(NODE_1)} PASSED", done.stdout)
    assert re.search(r"killed by SIGKILL \(likely out of memory: the kernel counted 1 such kill", done.stdout)
