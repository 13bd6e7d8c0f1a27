"""Trainers as tasks of a cluster: the same verdicts as here, and a lost worker costs at most what was not saved."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lvmcheck.checks.finding import Status, Why
from lvmcheck.errors import InputError
from lvmcheck.launch import engine as engines
from lvmcheck.launch.engine import Engine, check_launcher, make_engine
from lvmcheck.launch.engines._task import environment
from lvmcheck.launch.losses import MOST
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.launch.run_job import RunJob, State
from lvmcheck.launch.standing import ask_to_stop
from lvmcheck.run.regular_file import read_json
from lvmcheck.suite import load_suite
from suites.distributed.tasks import Processes, kill_node, worker_of
from suites.lvmcheck.plugin_kit.project import EPOCHS, Project, done, events, floor, metrics, trainers_of, wait_for

FULL = os.environ.get("LVM_RELIABILITY") == "full"
CLUSTERS = ("submitit", "ray")
HAVE = [name for name in CLUSTERS if importlib.util.find_spec(name)]
Make = Callable[..., RunJob]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An embedded Ray, for all tests of this file: each would take seconds to start one, and forgets its modules."""
    if "ray" not in HAVE or not FULL:
        yield
        return
    home = tmp_path_factory.mktemp("ray")
    engine = make_engine(Settings(home=home, root=home, session="this", launcher="ray"))
    engine.open()
    yield
    engine.close()


@pytest.fixture
def make(cluster: None, project: Project) -> Iterator[Make]:  # noqa: ARG001 - it must be there first
    """A job of seed 0 on an engine, in a home of its own."""
    opened: list[tuple[RunJob, Engine]] = []

    def made(name: str) -> RunJob:
        launcher = name if name in ("local", *CLUSTERS) else "local"
        home = project.path / f"home-{len(opened)}"
        settings = Settings(home=home, root=project.path, session="this", launcher=launcher)
        engine = Processes(settings) if name == "processes" else make_engine(settings)
        engine.open()
        suite = load_suite(project.suite_file)
        job = RunJob(Plan(suite, 0, settings), suite.checks, engine=engine)
        opened.append((job, engine))
        return job

    yield made
    for job, engine in opened:
        job.cancel("the test ends")
        engine.close()


def goes_on(job: RunJob, *, until: Callable[[], object] | None = None, limit: float = 60.0) -> None:
    """Poll the job until it is over, or until something holds."""
    end = time.monotonic() + limit
    while not (job.over or (until is not None and until())):
        assert time.monotonic() < end, f"waited in vain: {job.state}, {files_of(job.folder)}"
        job.poll(lambda _plan: job._slot or _Slot())
        time.sleep(0.01)


def files_of(folder: Path) -> dict[str, object]:
    """What the session and its task said last."""
    return {name: read_json(folder / f"{name}.json") for name in ("task", "begun", "left", "done", "failure")}


class _Slot:
    """A place that nobody else wants."""

    environment: dict[str, str] = {}  # noqa: RUF012

    def release(self) -> None:
        """Nothing is held."""


# -- the same answer ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["processes", *CLUSTERS])
def test_verdicts_and_metrics_equal_those_of_the_local_engine(project: Project, make: Make, name: str) -> None:
    if name in CLUSTERS and not (name in HAVE and FULL):
        pytest.skip(f"{name} is not installed, or LVM_RELIABILITY is not full")
    project.suite(steps=5)
    here, there = make("local"), make(name)
    for job in (here, there):
        goes_on(job)
        assert job.problem is None
    assert there.folder.name == here.folder.name  # the key
    assert metrics(there.folder) == metrics(here.folder)
    assert read_json(there.folder / "verdicts.json") == read_json(here.folder / "verdicts.json")
    assert {outcome.status for outcome in there.outcomes.values()} == {Status.PASSED}
    assert not there.process or not there.process.lost


@pytest.mark.parametrize("name", [*CLUSTERS])
def test_a_session_trains_on_the_engine(project: Project, name: str) -> None:
    if name not in HAVE or not FULL:
        pytest.skip(f"{name} is not installed, or LVM_RELIABILITY is not full")
    project.suite(steps=5, seeds=[0, 1])
    result = project.pytest("--lvm-launcher", name, inside=False)
    result.assert_outcomes(passed=8)
    assert (read_json(project.run(1) / "task.json") or {})["engine"] == name


# -- what is lost ------------------------------------------------------------------------------------------------------
LOSSES: dict[str, signal.Signals | None] = {
    "the node dies": None,  # all but what was saved is made again; in the others nothing is
    "the worker is killed": signal.SIGKILL,  # the guard gives the trainer 8 s
    "preempted": signal.SIGTERM,
    "its time is over": signal.SIGUSR2,
}


STUCK = """
import time
from pathlib import Path
import toy

def train(config, rec):
    made = rec.step
    def step(**values):
        made(**values)
        if rec.steps == 12 and not Path("stuck").exists():
            Path("stuck").touch()
            time.sleep(600)
    rec.step = step
    toy.train(config, rec)
"""


@pytest.mark.parametrize("way", LOSSES if FULL else ["the node dies", "preempted"])
@pytest.mark.parametrize("name", ["processes", *(HAVE if FULL else ())])
def test_a_lost_task_goes_on_from_its_checkpoint(project: Project, make: Make, name: str, way: str) -> None:
    number = LOSSES[way]
    project.suite(steps=8, pause=0.1 if number is signal.SIGKILL else 0.02, window=1)
    undisturbed, job = make("local"), make(name)
    goes_on(undisturbed)
    goes_on(job, until=lambda: job.run.last_epoch >= 1 and worker_of(job.folder))
    before = worker_of(job.folder)
    assert before is not None
    saved = 8 if number is None else job.run.step
    kill_node(job.folder) if number is None else os.kill(before, number)
    goes_on(job)
    assert job.problem is None
    begun = events(job.folder, "begin")
    assert len(begun) == 2
    assert metrics(job.folder) == metrics(undisturbed.folder)
    steps = [window["last_step"] for window in events(job.folder, "window")]
    assert steps == list(range(1, 8 * EPOCHS + 1))
    assert done(job.folder)["status"] == "finished"
    assert begun[1]["resumed_at_step"] >= saved
    assert read_json(job.folder / "verdicts.json") == read_json(undisturbed.folder / "verdicts.json")


@pytest.mark.skipif(not FULL, reason="LVM_RELIABILITY=full")
@pytest.mark.parametrize("name", ["processes", *HAVE])
def test_sigterm_then_30_s_then_sigkill_loses_one_interval(project: Project, make: Make, name: str) -> None:
    """As SLURM does, to a trainer whose step lasts longer than that."""
    (project.path / "stuck.py").write_text(STUCK)
    project.suite(steps=8, window=1, pause=0.02, trainer="stuck:train")
    job = make(name)
    goes_on(job, until=(project.path / "stuck").exists)
    before = worker_of(job.folder)
    assert before is not None
    os.kill(before, signal.SIGTERM)
    asked = time.monotonic()
    goes_on(job, until=lambda: time.monotonic() - asked > 30.0)
    assert not job.over
    assert worker_of(job.folder) == before
    kill_node(job.folder)
    goes_on(job)
    assert [event["epoch"] for event in events(job.folder, "epoch")] == [1, 2, 3, 4]
    assert events(job.folder, "begin")[1]["resumed_at_step"] == 8  # of 12 that were made, those of the checkpoint


@pytest.mark.skipif(not FULL, reason="LVM_RELIABILITY=full")
def test_a_run_that_is_lost_again_and_again_dies(project: Project, make: Make) -> None:
    project.suite(steps=5, hold="held", pause=0.01)
    (project.path / "held").touch()
    job = make("processes")
    killed: set[int | None] = {None}
    for _ in range(MOST):
        goes_on(job, until=lambda: worker_of(job.folder) not in killed and trainers_of(job.folder))
        goes_on(job, until=lambda: job.run.last_epoch == 1)
        pid = worker_of(job.folder)
        assert pid is not None
        killed.add(pid)
        kill_node(job.folder)
        goes_on(job, until=lambda: job.state is not State.TRAINING)
    assert job.over
    assert "was lost with its worker" in str(job.run.death)
    first, *rest = (job.outcomes[entry.node].status for entry in job.entries)
    assert first is Status.PASSED  # epoch 1 was reached
    assert Status.PASSED not in rest


@pytest.mark.skipif(not FULL, reason="LVM_RELIABILITY=full")
@pytest.mark.parametrize("seed", range(4))
def test_a_hundred_losses_at_any_moment_change_nothing(project: Project, make: Make, seed: int) -> None:
    """25 each: the node, the worker, or the worker's trainer asked to leave, some time after it began."""
    rng = random.Random(seed)
    curve = [0.5 + 0.01 * math.log1p(epoch) for epoch in range(200)]
    project.suite(floor(1, 0.45), floor("final", 0.5), epochs=200, curve=curve, steps=2, pause=0.01, window=1)
    undisturbed, job = make("local"), make("processes")
    goes_on(undisturbed)
    killed = 0
    while killed < 25 and not job.over:
        before = worker_of(job.folder)
        goes_on(job, until=lambda last=before: worker_of(job.folder) not in (None, last))
        if job._losses.count == MOST - 1:  # one more without a checkpoint between would end the run
            saved = job.run.last_epoch
            goes_on(job, until=lambda epoch=saved: job.run.last_epoch > epoch + 1)
        until = time.monotonic() + rng.uniform(0.0, 1.0)
        goes_on(job, until=lambda end=until: time.monotonic() > end)
        pid = worker_of(job.folder)
        if job.over or pid is None:
            break
        with contextlib.suppress(ProcessLookupError):
            way = rng.choice([None, signal.SIGKILL, signal.SIGTERM])
            kill_node(job.folder) if way is None else os.kill(pid, way)
            killed += 1
    goes_on(job, limit=120.0)
    assert job.problem is None
    assert job.run.death is None
    assert metrics(job.folder) == metrics(undisturbed.folder)
    steps = [window["last_step"] for window in events(job.folder, "window")]
    assert steps == list(range(1, 401))
    assert len(events(job.folder, "begin")) > 5
    assert read_json(job.folder / "verdicts.json") == read_json(undisturbed.folder / "verdicts.json")
    print(f"seed {seed}: {killed} losses, {len(events(job.folder, 'begin'))} begins")


@pytest.mark.skipif(not FULL or "submitit" not in HAVE, reason="LVM_RELIABILITY=full, with submitit")
def test_a_killed_session_is_continued_by_the_next(project: Project) -> None:
    project.suite(steps=40, pause=0.02)
    words = ("--lvm-launcher", "submitit")
    first = project.start(*words, log="first.log")
    wait_for(lambda: any(metrics(folder) for folder in project.runs().values()))
    first.kill()
    first.wait(timeout=30)
    began = time.monotonic()
    second = project.start(*words, log="second.log")
    assert second.wait(timeout=120) == 0
    assert time.monotonic() - began < 50  # it does not wait for the minute after which an orphan ends by itself
    folder = project.run()
    assert [event["epoch"] for event in events(folder, "epoch")] == [1, 2, 3, 4]
    assert len(events(folder, "begin")) == 2


# -- what is refused ---------------------------------------------------------------------------------------------------
def test_a_worker_with_other_code_is_refused(project: Project, make: Make) -> None:
    job = make("processes")
    _ = job.plan.key
    with (project.path / "toy.py").open("a") as file:
        file.write("# another checkout\n")
    goes_on(job)
    problem = str(job.problem)
    assert "worker " in problem
    assert "the trainer's source: expected " in problem
    assert {outcome.status for outcome in job.outcomes.values()} == {Status.ERROR}
    assert not (job.folder / "events.jsonl").exists()


def test_a_worker_that_sees_no_run_directory_says_so(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    job = make("processes")
    submit = job.engine.submit  # type: ignore[attr-defined]
    job.engine.submit = lambda spec, plan: submit({**spec, "folder": "/nowhere"}, plan)  # type: ignore[attr-defined]
    goes_on(job)
    assert capfd.readouterr().err.count("sees no /nowhere/run.json") == MOST
    assert "was lost with its worker" in str(job.run.death)


def test_a_queued_task_is_cancelled_and_trains_nothing(make: Make) -> None:
    job = make("processes")
    assert isinstance(job.engine, Processes)
    job.engine.held = True
    goes_on(job, until=lambda: job.state is State.TRAINING)
    assert job.queued
    ask_to_stop(job.folder, "seed1 has failed")
    assert job.cancelled is not None
    job.cancel(job.cancelled)
    assert {outcome.why for outcome in job.outcomes.values()} == {Why.NOT_REACHED}
    assert (read_json(job.folder / "task.json") or {})["task"] is None
    assert not (job.folder / "events.jsonl").exists()


def test_secrets_are_the_workers_own() -> None:
    spec = {"task": "1", "environment": {"OMP_NUM_THREADS": "1", "SLURM_JOB_ID": "7"}, "secrets": ["HF_TOKEN"]}
    own = {"HF_TOKEN": "worker's", "AWS_SECRET_KEY": "no", "CUDA_VISIBLE_DEVICES": "1", "PATH": "no"}
    assert environment(spec, own) == {
        "OMP_NUM_THREADS": "1",
        "HF_TOKEN": "worker's",
        "CUDA_VISIBLE_DEVICES": "1",
        "LVMCHECK_AFAR": "1",
    }


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_missing_package_is_one_line_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=rf"--lvm-launcher: {name} needs the package '{name}'") as raised:
        check_launcher(name, {})
    assert f'pip install -e ".[{"slurm" if name == "submitit" else "ray"}]"' in str(raised.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lvm-launcher", "rai"), "--lvm-launcher: no launcher 'rai'. Did you mean 'ray'?"),
        (
            ("--lvm-launcher-option", "a=1"),
            "no option 'a' of local. The launcher local has none.",
        ),
        (("--lvm-store", "s3://a"), "--lvm-store: expected --lvm-launcher submitit or ray beside it."),
        (("--lvm-launcher-option", "a"), "--lvm-launcher-option: expected NAME=VALUE, got 'a'."),
    ],
)
def test_a_launcher_that_makes_no_sense(project: Project, words: tuple[str, ...], message: str) -> None:
    result = project.pytest(*words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()
