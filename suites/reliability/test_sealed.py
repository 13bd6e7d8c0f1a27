"""What decides a run is sealed: a run with a changed byte is not used, and the suite's plan is judged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.launch.existing_run import ExistingRun, examine
from lvmcheck.launch.inputs import RECORD, write_inputs
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.run import directory as rundir
from lvmcheck.run.info import make_run
from lvmcheck.run.recorder import Recorder
from lvmcheck.run.seal import sealed
from lvmcheck.suite import load_suite
from suites.lvmcheck.plugin_kit.project import NODE_1, NODE_END, Project, floor, verdicts

FILES = (rundir.INFO, rundir.EVENTS, rundir.DONE)


@pytest.fixture
def plan(pytester: pytest.Pytester) -> Plan:
    """Of a finished run of two epochs."""
    project = Project(pytester)
    pytester.syspathinsert()
    project.suite(floor(1, 0.1), epochs=2)
    made = Plan(load_suite(project.suite_file), 0, Settings(home=project.home, root=project.path, session="this"))
    make_run(made.folder, {**made.info(), "session": "before"})
    rec = Recorder(made.folder)
    rec.begin()
    for epoch in (1, 2):
        rec.epoch(epoch, val_cosine=epoch / 4)
    checkpoint = made.folder / rundir.CHECKPOINTS / "last"
    checkpoint.mkdir(parents=True)
    (checkpoint / rundir.MANIFEST).write_text("{}\n")
    info = json.loads((made.folder / rundir.INFO).read_text())
    rundir.write_json(made.folder / rundir.INFO, {**info, RECORD: write_inputs(made.folder, project.path, stated=True)})
    rec.close("finished")
    return made


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def mutants(raw: bytes) -> Iterator[bytes]:
    for i in range(len(raw)):
        yield raw[:i] + bytes([raw[i] ^ 1]) + raw[i + 1 :]
        yield raw[:i] + raw[i + 1 :]


def usable(plan: Plan, before: dict[str, bytes]) -> bool:
    """Whether a session would reuse what is in the folder; it is put back as it was."""
    found = examine(plan)
    reused = isinstance(found, ExistingRun) and found.run.finished
    for aside in plan.folder.parent.glob(f"{plan.folder.name}.[0-9]*"):
        aside.rename(plan.folder)
    for name, raw in before.items():
        (plan.folder / name).write_bytes(raw)
    return reused


@pytest.mark.parametrize("name", FILES)
def test_no_byte_of_a_finished_run_may_change(plan: Plan, name: str) -> None:
    before = content(plan.folder)
    assert usable(plan, before)
    for changed in list(mutants(before[name]))[:: 1 if name == rundir.DONE else 9]:
        (plan.folder / name).write_bytes(changed)
        assert not usable(plan, before), changed
    assert usable(plan, before)


def test_a_changed_checkpoint_and_a_record_without_seal_are_not_used(plan: Plan) -> None:
    before = content(plan.folder)
    manifest = plan.folder / rundir.CHECKPOINTS / "last" / rundir.MANIFEST
    manifest.write_text("{ }\n")
    assert not usable(plan, before)
    manifest.write_text("{}\n")
    assert usable(plan, before)
    done = json.loads(before[rundir.DONE])
    rundir.write_json(plan.folder / rundir.DONE, {k: v for k, v in done.items() if k != "seal"})
    assert not usable(plan, before)


def test_the_plan_is_the_suite_s_although_the_seal_is_mended(plan: Plan) -> None:
    info, done = (json.loads((plan.folder / name).read_text()) for name in (rundir.INFO, rundir.DONE))
    before = content(plan.folder)
    info["config"]["epochs"] = 1
    rundir.write_json(plan.folder / rundir.INFO, info)
    rundir.write_json(plan.folder / rundir.DONE, sealed(done_without_seal(done), plan.folder, rundir.INFO))
    assert not usable(plan, before)


def done_without_seal(done: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in done.items() if name != "seal"}


def test_a_trainer_that_changes_its_own_plan_is_judged_by_the_suite_s(pytester: pytest.Pytester) -> None:
    project = Project(pytester)
    source = (project.path / "toy.py").read_text()
    shorten = (
        "    info = json.loads((rec.path / 'run.json').read_text())\n    info['config']['epochs'] = 1\n"
        "    (rec.path / 'run.json').write_text(json.dumps(info))\n    state, begin"
    )
    (project.path / "toy.py").write_text(source.replace("    state, begin", shorten))
    project.suite(floor(1, 0.45), floor("final", 0.45), returns_after=1)
    for _ in range(2):
        assert verdicts(project.pytest("-v")) == {f"seed0::{NODE_1}": "PASSED", f"seed0::{NODE_END}": "FAILED"}


@pytest.mark.parametrize("workers", ["0", "2"] if os.environ.get("LVM_RELIABILITY") == "full" else ["2"])
def test_a_death_after_the_last_epoch_is_red(pytester: pytest.Pytester, workers: str) -> None:
    project = Project(pytester)
    with (project.path / "toy.py").open("a") as file:
        file.write("\n\ndef dying(config, rec):\n    train(config, rec)\n    __import__('os')._exit(0)\n")
    project.suite(floor(1, 0.45), floor("final", 0.45), trainer="toy:dying")
    for _ in range(2):
        result = project.pytest("-v", "-n", workers, inside=False)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert verdicts(result) == {f"seed0::{NODE_1}": "PASSED", f"seed0::{NODE_END}": "PASSED"}
        assert "before its completion record was written" in result.stdout.str()


@pytest.mark.parametrize("changed", [False, True])
def test_a_run_that_was_cut_short_is_continued_from_what_it_wrote(pytester: pytest.Pytester, changed: bool) -> None:
    """Killed after epoch 1, whose value is 0.5: nothing seals it, but what was read of it then is known."""
    project = Project(pytester)
    project.suite(floor(1, 0.6), floor("final", 0.55), die="sigkill", pause=0.02)
    assert set(verdicts(project.pytest("-v")).values()) == {"FAILED"}
    events = project.run() / rundir.EVENTS
    if changed:
        events.write_text(events.read_text().replace('"val_cosine":0.5', '"val_cosine":0.8'))
    assert verdicts(project.pytest("-v"))[f"seed0::{NODE_1}"] == "FAILED"
    assert len(project.runs()) == 1 + changed  # set aside, and begun anew
