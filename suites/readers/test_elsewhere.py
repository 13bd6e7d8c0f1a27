"""Runs on servers and of other loggers: what is read, what has to be exported, and tags that are written back.

W&B's cloud and ClearML's server are not reached from here: a stand-in has the calls of their libraries that are used.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lvmcheck.commands.main import main
from lvmcheck.errors import InputError
from lvmcheck.readers import detect, open_run

HISTORY = [
    {"_step": 0, "_runtime": 1.0, "epoch": 1, "val_loss": 1.0, "val_accuracy": 0.5},
    {"_step": 1, "_runtime": 2.0, "epoch": 2, "val_loss": "NaN", "val_accuracy": 0.6, "picture": {"path": "x"}},
    {"_step": 2, "_runtime": 3.0, "epoch": 3, "val_loss": 0.5, "val_accuracy": None},
]


class CloudRun:
    """What is used of ``wandb.apis.public.Run``."""

    def __init__(self) -> None:
        self.config, self.state, self.tags = {"lr": 0.1, "_wandb": {}}, "finished", ["mine", "lvmcheck:old"]
        self.updated = 0

    def scan_history(self) -> list[dict[str, Any]]:
        return HISTORY

    def update(self) -> None:
        self.updated += 1


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> CloudRun:
    run, module = CloudRun(), ModuleType("wandb")

    def find(name: str) -> CloudRun:
        if name != "team/project/id":
            raise ValueError(f"Could not find run {name}")
        return run

    module.Api = lambda: SimpleNamespace(run=find)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    return run


# -- W&B's cloud -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["wandb:team/project/id", "https://wandb.ai/team/project/runs/id?nw=1"])
@pytest.mark.usefixtures("cloud")
def test_a_run_in_the_cloud(name: str) -> None:
    run = open_run(name)
    assert run.series("val_accuracy").values.tolist() == [0.5, 0.6]
    assert run.series("val_loss").epochs.tolist() == [1, 2, 3]
    assert (run.finished, dict(run.config)) == (True, {"lr": 0.1})


def test_verdicts_become_tags_of_a_run_in_the_cloud(cloud: CloudRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "wandb:team/project/id", "--tag"]) == 1  # a NaN
    assert cloud.tags[:2] == ["mine", "lvmcheck:failed"]
    assert "lvmcheck:finite" in cloud.tags
    assert "lvmcheck:old" not in cloud.tags
    assert cloud.updated == 1
    assert "tagged wandb:team/project/id" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wandb:team/project", "expected wandb:ENTITY/PROJECT/RUN"),
        ("wandb:team/project/other", "Could not find run"),
        ("neptune:team/project/RUN-1", "fetch_values"),
        ("aim:hash", "Aim's Metrics page"),
        ("mlflow:3", "mlflow.db"),
    ],
)
@pytest.mark.usefixtures("cloud")
def test_what_cannot_be_read_is_one_line(name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", name]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", [".aim", ".neptune"])
def test_a_folder_that_has_to_be_exported(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "VERSION").write_text("1")
    with pytest.raises(InputError, match="CSV"):
        open_run(tmp_path)


def test_tags_need_a_run_that_has_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.csv").write_text("epoch,val_loss\n1,1\n2,0.5\n")
    assert main(["check", str(tmp_path / "log.csv"), "--tag"]) == 2
    assert "has no tags" in capsys.readouterr().err


# -- Trackio -----------------------------------------------------------------------------------------------------------
LOGGED = [{"train_loss": 2.0}, {"epoch": 1, "val_loss": 1.0}, {"epoch": 2, "val_loss": 0.5}]


def trackio(path: Path, *runs: str) -> Path:
    """A store with the tables that Trackio 0.43 makes, as far as they are read."""
    with sqlite3.connect(path) as store:
        keys = "id INTEGER PRIMARY KEY, run_id TEXT, timestamp TEXT, run_name TEXT"
        store.execute(f"CREATE TABLE metrics ({keys}, step INTEGER, metrics TEXT)")
        store.execute("CREATE TABLE configs (id INTEGER PRIMARY KEY, run_id TEXT, run_name TEXT, config TEXT)")
        store.execute("CREATE TABLE project_metadata (key TEXT, value TEXT)")
        for name in runs:
            config = json.dumps({"lr": 0.1, "_Username": None}).encode()
            store.execute("INSERT INTO configs VALUES (NULL, ?, ?, ?)", (f"id-{name}", name, config))
            for step, body in enumerate(LOGGED):
                text = json.dumps({**body, "t": "x"}).encode()
                row = (f"id-{name}", f"2026-11-30T04:24:3{step}+00:00", name, step, text)
                store.execute("INSERT INTO metrics VALUES (NULL, ?, ?, ?, ?, ?)", row)
    store.close()
    return path


def test_a_store_of_trackio(tmp_path: Path) -> None:
    path = trackio(tmp_path / "digits.db", "first")
    assert detect(path) == detect(tmp_path) == "trackio"
    run = open_run(path)
    assert (run.series("val_loss").values.tolist(), dict(run.config)) == ([1.0, 0.5], {"lr": 0.1})
    trackio(tmp_path / "more.db", "first", "second")
    with pytest.raises(InputError, match="expected one run, got 2"):
        open_run(tmp_path / "more.db")
    assert open_run(tmp_path / "more.db", run="second").info["run_id"] == "id-second"


def test_a_store_of_trackio_without_sense(tmp_path: Path) -> None:
    path = trackio(tmp_path / "digits.db", "first")
    with sqlite3.connect(path) as store:
        store.execute("UPDATE metrics SET metrics = '[1]' WHERE step = 1")
    store.close()
    with pytest.raises(InputError, match="JSON object"):
        open_run(path)


# -- ClearML -----------------------------------------------------------------------------------------------------------
def clearml(folder: Path, value: object = 0.5) -> Path:
    """An offline session as ClearML 2.1 writes it."""
    hyper = {"General": {"lr": {"value": "0.1"}, "epochs": {"value": "2"}}}
    (folder / "task.json").write_text(json.dumps({"id": "offline-1", "name": "t", "hyperparams": hyper}))
    with (folder / "metrics.jsonl").open("w") as file:
        for step, loss in ((1, 1.0), (2, value)):
            events = [("loss", "val", loss), ("accuracy", "val", 1 - 0.5 / step), ("loss", "train", 1 / step + 0.1)]
            kind = {"type": "training_stats_scalar", "iter": step, "timestamp": 1796012677893}
            file.write(json.dumps([{**kind, "metric": m, "variant": v, "value": x} for m, v, x in events]) + "\n")
    return folder


def test_an_offline_session_of_clearml(tmp_path: Path) -> None:
    clearml(tmp_path)
    assert detect(tmp_path) == detect(tmp_path / "metrics.jsonl") == "clearml"
    run = open_run(tmp_path)
    assert run.series("val_loss").values.tolist() == [1.0, 0.5]
    assert {"val_accuracy", "train_loss"} <= set(run.metric_names)
    assert dict(run.config) == {"lr": 0.1, "epochs": 2}
    with pytest.raises(InputError, match="offline-1"):
        open_run(tmp_path, run="other")
    clearml(tmp_path, value="high")
    with pytest.raises(InputError, match=r"metrics\.jsonl:2"):
        open_run(tmp_path)


def test_a_task_on_a_server_of_clearml(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = {"loss": {"val": {"x": [1, 2], "y": [1.0, 0.5]}}, "extra": {"extra": {"x": [1], "y": [1.0]}}}
    task = SimpleNamespace(
        get_all_reported_scalars=lambda: curves,
        get_parameters=lambda: {"General/lr": "0.1"},
        get_status=lambda: "failed",
    )
    module = ModuleType("clearml")
    module.Task = SimpleNamespace(get_task=lambda task_id: task)  # type: ignore[attr-defined] # noqa: ARG005
    monkeypatch.setitem(sys.modules, "clearml", module)
    run = open_run("clearml:abc")
    assert run.series("val_loss").values.tolist() == [1.0, 0.5]
    assert (run.finished, run.info["run_id"]) == (False, "abc")


# -- MLflow ------------------------------------------------------------------------------------------------------------
def test_verdicts_become_tags_of_an_mlflow_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as store:
        store.execute("CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, lifecycle_stage TEXT, start_time INT)")
        store.execute("CREATE TABLE metrics (run_uuid TEXT, key TEXT, value REAL, is_nan INT, step INT, timestamp INT)")
        store.execute("CREATE TABLE params (run_uuid TEXT, key TEXT, value TEXT)")
        store.execute("INSERT INTO runs VALUES ('abc', 'x', 'FINISHED', 'active', 1)")
        for epoch in range(1, 7):
            store.execute("INSERT INTO metrics VALUES ('abc', 'val_loss', ?, 0, ?, ?)", (0.5, epoch, epoch))
    store.close()
    said: dict[str, str] = {}

    class Client:
        def __init__(self, tracking_uri: str) -> None:
            assert tracking_uri == f"sqlite:///{path}"

        def set_tag(self, run_id: str, key: str, value: str) -> None:
            said[f"{run_id} {key}"] = value

    module = ModuleType("mlflow")
    module.MlflowClient = Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", module)
    assert main(["check", str(path), "--tag"]) == 1
    assert said["abc lvmcheck.verdict"] == "failed"
    assert "metric_constant" in said["abc lvmcheck.failed"]
