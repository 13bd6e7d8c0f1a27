"""Places to train: how many at a time, on which device, and whether memory is there for one more."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from lvmcheck.launch import memory
from lvmcheck.launch.device import cores, cuda_devices
from lvmcheck.launch.engines import local
from lvmcheck.launch.engines.local import Local, side_by_side
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.suite import load_suite
from suites.lvmcheck.plugin_kit.project import Project, done, events

FULL = pytest.mark.skipif(os.environ.get("LVM_RELIABILITY") != "full", reason="LVM_RELIABILITY=full")


@pytest.fixture
def plan(project: Project) -> Plan:
    settings = Settings(home=project.home, root=project.path, session="this", parallel=True)
    return Plan(load_suite(project.suite_file), 0, settings)


def took(plan: Plan, peak: int, name: str = "before") -> None:
    """A run of the suite that took so many bytes."""
    folder = plan.folder.parent / name
    folder.mkdir(parents=True)
    (folder / "ended.json").write_text(json.dumps({"peak_bytes": peak, "killed_by_us": False}))


@pytest.mark.parametrize(
    ("wanted", "at_once", "places"),
    [(1, 2, 2), (2, 2, 2), (3, 2, 3), (4, 2, 2), (5, 2, 2), (7, 4, 7), (8, 4, 4), (1, 1, 1), (2, 1, 1)],
)
def test_runs_share_the_cores_where_a_last_wave_would_leave_some_idle(wanted: int, at_once: int, places: int) -> None:
    assert side_by_side(wanted, at_once) == places


@pytest.mark.own_process
def test_each_device_has_one_run(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan.__dict__["device"] = "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert cuda_devices() == ["1", "3"]
    engine = Local(plan.settings)
    first, second = (engine.take(plan, tmp_path, 3) for _ in range(2))
    assert first is not None
    assert second is not None
    assert [place.environment for place in (first, second)] == [{"CUDA_VISIBLE_DEVICES": name} for name in ("1", "3")]
    assert engine.take(plan, tmp_path, 3) is None
    first.release()
    again = engine.take(plan, tmp_path, 3)
    assert again is not None
    assert again.environment == {"CUDA_VISIBLE_DEVICES": "1"}
    for place in (second, again):
        place.release()


@pytest.mark.own_process
def test_a_run_waits_for_memory_unless_it_is_alone(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "available", lambda: 1000)
    monkeypatch.setattr(local, "cores", lambda: 4)
    engine = Local(plan.settings)
    took(plan, 600)
    took(plan, 400, "smaller")
    assert memory.taken_before(plan.folder.parent) == 600
    first = engine.take(plan, tmp_path, 2)
    assert first is not None
    assert engine.take(plan, tmp_path, 2) is None  # 600 of the first are not taken yet, and 1200 are not there
    monkeypatch.setattr(local, "available", lambda: 1200)
    second = engine.take(plan, tmp_path, 2)
    assert second is not None
    monkeypatch.setattr(local, "available", lambda: 10)
    second.release()
    assert engine.take(plan, tmp_path, 2) is None
    first.release()
    alone = Local(plan.settings).take(plan, tmp_path, 2)
    assert alone is not None
    alone.release()


def test_this_machine_says_what_memory_is_there() -> None:
    there = memory.available()
    assert there is not None
    assert 1 << 20 < there < 1 << 50


def test_few_seeds_get_more_threads_and_many_share(project: Project) -> None:
    if cores() < 2:
        pytest.skip("one core")
    for seeds, threads in ([0], cores()), (list(range(cores())), None):
        project.suite(steps=2, seeds=seeds)
        project.pytest("--lvm-parallel", "auto", "-k", "seed0 and epoch_1").assert_outcomes(passed=1)
        config = json.loads((project.run() / "run.json").read_text())["config"]
        assert config.get("threads") == threads
        project.home.rename(project.path / f"home of {len(seeds)}")


def test_another_word_is_one_line(project: Project) -> None:
    result = project.pytest("--lvm-parallel", "3")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--lvm-parallel: expected 'auto', got '3'. --lvm-jobs N sets a number." in result.stderr.str()


BUSY = """
import time
import toy

def train(config, rec):
    made = rec.step
    def step(**values):
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
        made(**values)
    rec.step = step
    toy.train(config, rec)
"""


@FULL
@pytest.mark.parametrize("more", [(), ("-n", "2")], ids=["one session", "xdist"])
def test_three_seeds_take_at_most_1_7_times_a_fair_share(project: Project, more: tuple[str, ...]) -> None:
    """A run that computes 4 s on one core: three of them have 6 s of two cores to themselves."""
    if cores() != 2:
        pytest.skip("stated for two cores")
    (project.path / "busy.py").write_text(BUSY)
    took_s = {}
    for seeds in [0], [0, 1, 2]:
        project.suite(trainer="busy:train", steps=20, seeds=seeds, threads=1)
        began = time.monotonic()
        project.pytest("--lvm-parallel", "auto", "--lvm-fresh", *more, inside=False).assert_outcomes(
            passed=4 * len(seeds)
        )
        took_s[len(seeds)] = time.monotonic() - began
    trained = [folder for name, folder in project.runs().items() if "." not in name]
    assert [len(events(folder, "begin")) for folder in trained] == [1] * 3
    assert {done(folder)["status"] for folder in trained} == {"finished"}
    fair = took_s[1] * 3 / 2
    print(f"one seed {took_s[1]:.1f} s, three {took_s[3]:.1f} s: {took_s[3] / fair:.2f} of a fair share")
    assert took_s[3] <= 1.7 * fair
