"""Run directories that come back through a store: complete, in order, live, and kept where the store is gone."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.errors import InputError
from lvmcheck.launch.engines import _stored
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.launch.run_job import RunJob
from lvmcheck.launch.store import LAST, Receiver, Sender, inside, open_store
from lvmcheck.run.regular_file import read_json
from lvmcheck.suite import load_suite
from suites.distributed.tasks import Processes
from suites.distributed.test_engines import goes_on
from suites.lvmcheck.plugin_kit.project import Project, done, events, floor, metrics

pytestmark = pytest.mark.own_process

FULL = pytest.mark.skipif(os.environ.get("LVM_RELIABILITY") != "full", reason="LVM_RELIABILITY=full")


# -- one side and the other ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(5))
def test_what_is_received_was_there_at_once(tmp_path: Path, seed: int) -> None:
    """A record names checkpoints that are there, and a completion record has all events, whenever anybody looks."""
    system, root = open_store(f"memory://runs-{seed}")
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    sender, receiver = Sender(system, root, here), Receiver(system, root, there)
    rng = random.Random(seed)
    lines = 0
    for number in range(40):
        action = rng.choice(["write", "write", "send", "receive"])
        if number == 35:
            (here / "done.json").write_text(json.dumps({"bytes": lines}))
        elif action == "write":
            folder = here / "checkpoints" / str(number)
            folder.mkdir(parents=True)
            (folder / "state").write_text(str(number))
            old = sorted((here / "checkpoints").iterdir(), key=lambda path: int(path.name))[:-2]
            with (here / "events.jsonl").open("a") as file:
                lines += file.write(f"checkpoints/{number}\n")
            for path in old:
                (path / "state").unlink()
                path.rmdir()
        elif action == "send":
            sender.send()
        else:
            receiver.receive()
        if (there / "events.jsonl").exists():
            named = (there / "events.jsonl").read_text().splitlines()
            assert (there / named[-1] / "state").read_text() == named[-1].rpartition("/")[2]
        if (there / "done.json").exists():
            assert (there / "events.jsonl").stat().st_size == json.loads((there / "done.json").read_text())["bytes"]
    sender.send()
    receiver.receive()
    files = {path.relative_to(here): path.read_bytes() for path in here.rglob("*") if path.is_file()}
    assert {path.relative_to(there): path.read_bytes() for path in there.rglob("*") if path.is_file()} == files
    assert "done.json" in LAST


@pytest.mark.parametrize("name", ["../toy.py", "/etc/passwd", "a/../../b", "events.jsonl", "..\\toy.py"])
def test_a_name_from_the_store_stays_below_the_run(name: str) -> None:
    assert not inside(name)
    assert inside("checkpoints/1/state.json")


@pytest.mark.parametrize("url", ["file:///proc/nowhere", "nosuch://a/b"])
def test_a_store_that_cannot_be_written_is_one_line(url: str) -> None:
    with pytest.raises(InputError, match=f"--lvm-store {url}: cannot be used: "):
        open_store(url)


# -- a run -------------------------------------------------------------------------------------------------------------
@pytest.fixture
def job(project: Project) -> Iterator[RunJob]:
    """A run whose worker knows the session's folder through the store alone."""
    engine, made = None, None

    def of(url: str) -> RunJob:
        nonlocal engine, made
        settings = Settings(home=project.home, root=project.path, session="this", store=url)
        engine = Elsewhere(settings)
        suite = load_suite(project.suite_file)
        made = RunJob(Plan(suite, 0, settings), suite.checks, engine=engine)
        return made

    yield of  # type: ignore[misc]
    if made is not None and engine is not None:
        made.cancel("the test ends")
        engine.close()


class Elsewhere(Processes):
    """Its workers find another folder where the session's is."""

    def submit(self, spec: dict[str, Any], plan: Plan) -> Any:
        return super().submit({**spec, "folder": f"/elsewhere/{Path(spec['folder']).name}"}, plan)


def test_a_run_comes_back_live_and_whole(project: Project, job: Any, tmp_path: Path) -> None:
    project.suite(steps=5, pause=0.02, hold="held")
    (project.path / "held").touch()
    made = job(f"file://{tmp_path}/store")
    goes_on(made, until=lambda: made.run.last_epoch == 1)  # it waits in epoch 2
    assert not made.over
    first = made.entries[0].node
    assert made.outcomes[first].decided
    (project.path / "held").unlink()
    goes_on(made)
    assert made.problem is None
    assert done(made.folder)["status"] == "finished"
    assert len(metrics(made.folder)) == 4
    assert (read_json(made.folder / "left.json") or {})["code"] == 0
    assert list(made.folder.glob("checkpoints/*"))
    assert not list((tmp_path / "store").glob("*/up/*"))  # nothing is left behind


def test_an_abort_reaches_a_worker_through_the_store(project: Project, job: Any, tmp_path: Path) -> None:
    project.suite(floor(1, 0.9, "abort_below = 0.8"), floor("final", 0.5), steps=5, hold="held")
    (project.path / "held").touch()  # it would wait for ever in epoch 2
    made = job(f"file://{tmp_path}/store")
    goes_on(made)
    assert made.aborted_by == made.entries[0].node
    assert done(made.folder)["status"] == "stopped"
    assert len(metrics(made.folder)) == 1


@pytest.mark.parametrize("for_good", [False, pytest.param(True, marks=FULL)])
def test_a_store_that_vanishes_loses_nothing(
    project: Project, job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, for_good: bool
) -> None:
    monkeypatch.setattr(_stored, "SILENT", 2.0 if for_good else 60.0)
    project.suite(steps=5, pause=0.02)
    store, away = tmp_path / "store", tmp_path / "away"
    made = job(f"file://{store}")
    goes_on(made, until=lambda: made.run.last_epoch == 1)
    store.rename(away)
    store.write_text("a file where the folder was")
    if for_good:
        goes_on(made)
        assert "--lvm-store" in str(made.problem)
        assert made.outcomes[made.entries[0].node].decided
        assert len(metrics(made.folder)) >= 1  # what arrived is there, and continued by the next session
        store.unlink()
        away.rename(store)
        return
    until = time.monotonic() + 1.5
    goes_on(made, until=lambda: time.monotonic() > until)
    assert not made.over
    store.unlink()
    away.rename(store)
    goes_on(made)
    assert made.problem is None
    assert done(made.folder)["status"] == "finished"
    assert len(events(made.folder, "begin")) == 1


# -- S3 ----------------------------------------------------------------------------------------------------------------
@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A bucket of moto's server on the loopback."""
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    code = "import sys; from moto.server import ThreadedMotoServer as S; s = S('127.0.0.1', port=0); s.start(); "
    code += "print(s.get_host_and_port()[1], flush=True); sys.stdin.read()"
    with (
        (tmp_path / "moto.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        assert server.stdout is not None
        port = next(line for line in server.stdout if line.strip().isdigit()).strip()  # it greets first
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        import_module("s3fs").S3FileSystem().mkdir("runs")
        yield "s3://runs/lvmcheck"
        server.communicate()


@FULL
@pytest.mark.filterwarnings("ignore")
def test_a_run_comes_back_through_s3(project: Project, job: Any, bucket: str) -> None:
    project.suite(steps=5, pause=0.02)
    made = job(bucket)
    goes_on(made)
    assert made.problem is None
    assert done(made.folder)["status"] == "finished"
    assert len(metrics(made.folder)) == 4
    with pytest.raises(InputError, match="--lvm-store s3://nosuch/a: cannot be used"):
        open_store("s3://nosuch/a")
