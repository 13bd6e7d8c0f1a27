"""``lvmcheck runs``: what trains or waits, where and how far, and that it stops when it is asked to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lvmcheck.commands.main import main
from lvmcheck.launch.engines._files import BEGUN, TASK
from lvmcheck.launch.locks import run_lock, try_lock
from lvmcheck.launch.standing import Stand, standing_of, standings
from suites.lvmcheck.plugin_kit.project import Project, done, metrics, wait_for


def test_a_run_is_shown_and_stops_when_it_is_cancelled(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.suite(steps=10, pause=0.01, hold="held")
    (project.path / "held").touch()  # it waits in epoch 2
    session = project.start()
    wait_for(lambda: any(metrics(folder) for folder in project.runs().values()))
    words = ["runs", "--lvm-dir", str(project.home)]
    assert main(words) == 0
    row, total = capsys.readouterr().out.splitlines()
    assert row.split()[:4] == [f"toy/{project.run().name}", "training", "epoch", "1/4"]
    assert row.endswith("local")
    assert total == "1 run training"
    assert main([*words, "--cancel", "nobody"]) == 2
    assert "--cancel nobody: no run that trains has that name." in capsys.readouterr().err
    assert main([*words, "--cancel", "toy"]) == 0
    assert session.wait(timeout=180) == 1
    assert done(project.run())["reason"] == "lvmcheck runs --cancel"
    assert "stopped at epoch 1 of 4 by lvmcheck runs --cancel" in (project.path / "pytest.log").read_text()
    capsys.readouterr()
    assert main([*words, "--all"]) == 0
    row, total = capsys.readouterr().out.splitlines()
    assert row.split()[1] == "stopped"
    assert total == "0 runs training; 1 stopped"
    assert main([*words, "--cancel", "all"]) == 2


def write(folder: Path, **files: dict[str, object]) -> Path:
    """A run directory with these files."""
    folder.mkdir(parents=True)
    for name, body in {"run": {"config": {"epochs": 4}}, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(body))
    return folder


TASKED = {"task": "1", "engine": "submitit", "place": "4711"}
STANDS = {
    "queued": ({"task": TASKED}, True, Stand.QUEUED, "submitit 4711"),
    "an older task has begun": (
        {"task": TASKED, "begun": {"task": "0", "host": "n1"}},
        True,
        Stand.QUEUED,
        "submitit 4711",
    ),
    "training": ({"task": TASKED, "begun": {"task": "1", "host": "n1"}}, True, Stand.TRAINING, "submitit 4711 on n1"),
    "stopping": ({"stop": {"reason": "x"}}, True, Stand.STOPPING, "local"),
    "here": ({}, True, Stand.TRAINING, "local"),
    "its session has gone": ({"task": TASKED}, False, Stand.INTERRUPTED, ""),
    "died": ({"failure": {"death": "x"}}, False, Stand.DIED, ""),
    "stopped": ({"done": {"status": "stopped"}}, False, Stand.STOPPED, ""),
    "finished": ({"done": {"status": "finished"}}, False, Stand.FINISHED, ""),
    "finished before, and trained on": ({"done": {"status": "stopped"}}, True, Stand.TRAINING, "local"),
}


@pytest.mark.parametrize("case", STANDS)
def test_a_run_stands_where_its_files_say(tmp_path: Path, case: str) -> None:
    files, held, stand, place = STANDS[case]
    folder = write(tmp_path / "runs" / "toy" / "smoke-seed0-1a2b3c4d", **files)
    write(tmp_path / "runs" / "toy" / "smoke-seed0-1a2b3c4d.1")  # moved aside
    lock = try_lock(run_lock(folder)) if held else None
    (found,) = standings(tmp_path)
    assert (found.stand, found.place, found.epochs, found.epoch) == (stand, place, 4, 0)
    assert found == standing_of(folder) or found.since >= 0
    if lock is not None:
        lock.release()
    assert {TASK, BEGUN} == {"task.json", "begun.json"}


def test_a_folder_without_runs_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--lvm-dir", str(tmp_path)]) == 2
    assert f"{tmp_path}: expected a folder of runs, found none." in capsys.readouterr().err
