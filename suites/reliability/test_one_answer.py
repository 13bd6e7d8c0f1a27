"""A verdict is a function of the record: judged live, after the fact and in another process it is equal."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.checks.finding import Outcome
from lvmcheck.checks.protocol import judge
from lvmcheck.checks.verdict_json import plain_json
from lvmcheck.errors import InputError
from lvmcheck.run import directory as rundir
from lvmcheck.run import events as ev
from lvmcheck.run.event_lines import to_line
from lvmcheck.run.start import record
from lvmcheck.run.view import Run
from suites.lvmcheck.plugin_kit.project import Project, floor, verdicts
from suites.reliability.streams import asked, streams

INFO = {"config": {"epochs": 5}, "seed": 0}
DONE = {"status": "finished"}
ROOT = Path(__file__).parents[2]


def write(folder: Path, events: list[ev.Event]) -> Path:
    folder.mkdir()
    (folder / rundir.EVENTS).write_text("".join(to_line(event) + "\n" for event in events))
    return folder


def after(run: Run) -> list[Any]:
    return [fields(judge(check, run)) for check in asked()]


def fields(outcome: Outcome) -> Any:
    return plain_json(outcome)


def live(folder: Path, lines: list[bytes], info: dict[str, Any]) -> list[Any]:
    """What a session that follows the run has in the end: the first decided answer of each check."""
    known: dict[int, Outcome] = {}
    follower, target = rundir.Follower(folder), folder / rundir.EVENTS
    rundir.write_json(folder / rundir.INFO, info)
    target.write_bytes(b"")
    checks = asked()
    for line in [*lines, b""]:
        with target.open("ab") as file:
            file.write(line)
        run = follower.read()
        if not line:
            run = Run(events=run.events, info=run.info, done=DONE)
        for number, check in enumerate(checks):
            if number not in known or not known[number].decided:
                known[number] = judge(check, run)
    return [fields(known[number]) for number in range(len(checks))]


@settings(max_examples=25, deadline=None)
@given(streams())
def test_live_and_after_the_fact(tmp_path_factory: pytest.TempPathFactory, events: list[ev.Event]) -> None:
    folder = write(tmp_path_factory.mktemp("runs") / "run", events)
    lines = (folder / rundir.EVENTS).read_bytes().splitlines(keepends=True)
    run = rundir.load(folder)
    first, second = live(folder, lines, INFO), after(Run(events=run.events, info=INFO, done=DONE))
    for check, a, b in zip(asked(), first, second, strict=True):  # evidence may have come after the answer
        assert a["status"] == b["status"], check.label()


def test_what_is_written_is_judged_from_the_whole_record(pytester: pytest.Pytester) -> None:
    project = Project(pytester)
    source = (project.path / "toy.py").read_text()
    late = "        rec.data(name='toy', fingerprint='late', facts={'identity': epoch / 10})\n"
    (project.path / "toy.py").write_text(source.replace("        first = 0\n", late + "        first = 0\n"))
    project.pytest()
    first = json.loads((project.run() / rundir.VERDICTS).read_text())
    assert project.pytest().ret == 0
    assert project.trainings() == 1
    assert json.loads((project.run() / rundir.VERDICTS).read_text()) == first


def test_another_process_judges_the_same(tmp_path: Path) -> None:
    events: list[ev.Event] = [ev.Begin(), ev.Data(name="a", fingerprint="x", facts={"best_linear": 0.5})]
    events += [ev.Epoch(epoch=n, step=n, metrics={"val_cosine": n / 7, "val_loss": 1 / n}) for n in range(1, 6)]
    folder = write(tmp_path / "run", events)
    rundir.write_json(folder / rundir.INFO, INFO)
    code = (
        "import sys, json; from pathlib import Path; from lvmcheck.run.directory import load;"
        "from suites.reliability.test_one_answer import after; print(json.dumps(after(load(Path(sys.argv[1])))))"
    )
    said = subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, check=True)
    assert json.loads(said.stdout) == json.loads(json.dumps(after(rundir.load(folder))))


# -- epochs go forward -------------------------------------------------------------------------------------------------
@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_repeated_and_reversed_epochs_are_refused_in_any_pieces(
    tmp_path_factory: pytest.TempPathFactory, epochs: list[int], data: st.DataObject
) -> None:
    folder = write(tmp_path_factory.mktemp("runs") / "run", [ev.Epoch(epoch=epoch, step=0) for epoch in epochs])
    raw = (folder / rundir.EVENTS).read_bytes()
    bad = next((i + 2 for i, (a, b) in enumerate(pairwise(epochs)) if b <= a), None)
    follower, at = rundir.Follower(folder), 0
    (folder / rundir.EVENTS).write_bytes(b"")
    line = None
    while at < len(raw) and line is None:
        size = data.draw(st.integers(1, len(raw)))
        with (folder / rundir.EVENTS).open("ab") as file:
            file.write(raw[at : at + size])
        at += size
        try:
            follower.read()
        except InputError as problem:
            line = problem.line
    assert line == bad


@pytest.mark.parametrize("epoch", [0, -1, 10**30, 10_000_001])
def test_an_epoch_that_cannot_be_is_refused(tmp_path: Path, epoch: int) -> None:
    folder = write(tmp_path / "run", [ev.Epoch(epoch=1, step=0), ev.Epoch(epoch=epoch, step=0)])
    with pytest.raises(InputError, match="epoch"):
        rundir.load(folder)


def test_the_recorder_refuses_them_too(tmp_path: Path) -> None:
    with record(tmp_path / "run") as rec:
        rec.epoch(3, val_cosine=0.2)
        for epoch in (3, 2):
            with pytest.raises(InputError):
                rec.epoch(epoch, val_cosine=0.6)


def test_a_trainer_that_writes_them_itself_is_red_twice(pytester: pytest.Pytester) -> None:
    project = Project(pytester)
    source = (project.path / "toy.py").read_text()
    again = "        rec._write(Epoch(epoch=epoch, step=0, metrics={'val_cosine': .99}))\n"
    source = source.replace("import json\n", "import json\nfrom lvmcheck.run.events import Epoch\n")
    assert "        first = 0\n" in source
    (project.path / "toy.py").write_text(source.replace("        first = 0\n", again + "        first = 0\n"))
    project.suite(floor("final", 0.9))
    for _ in range(2):
        found = verdicts(project.pytest("-v"))
        assert set(found.values()) == {"FAILED"}
