"""A finished run is reused while nothing that could change its numbers has changed, and only then."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from suites.lvmcheck.plugin_kit.project import CHECKS, Project, done, floor

SCHEMA = """
from pathlib import Path

def validate(config):
    pass

def input_files(config):
    return [Path("table.bin")]
"""
HELPER = "NOISE = 1\n"


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """Trained once, with an imported module and an input file."""
    made = Project(pytester)
    (made.path / "helper.py").write_text(HELPER)
    source = (made.path / "toy.py").read_text()
    (made.path / "toy.py").write_text(
        source.replace("import json\n", "import json\nimport helper\n") + "\nother = train\n"
    )
    (made.path / "toy_config.py").write_text(SCHEMA)
    (made.path / "table.bin").write_bytes(b"12345")
    made.pytest().assert_outcomes(passed=4)
    assert made.trainings() == 1
    return made


def rewrite(path: str, text: str) -> Callable[[Project], object]:
    return lambda project: (project.path / path).write_text(text)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def swap_content(project: Project) -> None:
    path = project.path / "table.bin"
    stat = path.stat()
    path.write_bytes(b"12354")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


CHANGES: dict[str, Callable[[Project], object]] = {
    "a config value": lambda project: project.suite(extra="other = 1"),
    "a config value of another type": lambda project: project.suite(steps=20, window=5, pause=0),
    "the function of the trainer": lambda project: project.suite(trainer="toy:other"),
    "the seed": lambda project: project.suite(seeds=[1]),
    "a byte of the trainer": lambda project: append(project.path / "toy.py", "#"),
    "a byte of what it imports": rewrite("helper.py", "NOISE = 2\n"),
    "the content of an input file, size and time kept": swap_content,
    "the profile": Project.runs,
}


def test_any_one_change_trains_again(project: Project) -> None:
    for trained, (name, change) in enumerate(CHANGES.items(), 2):
        change(project)
        result = project.pytest(*(["--lvm-profile", "ci"] if name == "the profile" else []))
        result.assert_outcomes(passed=4)
        assert project.trainings() == trained, name
        assert "reused run of" not in result.stdout.str(), name


def age(project: Project) -> None:
    for path in project.path.glob("*.*"):
        os.utime(path, (1, 1))


NEUTRAL: dict[str, Callable[[Project], object]] = {
    "nothing": Project.runs,
    "times of files": age,
    "a check": lambda project: project.suite(*CHECKS[1:], floor(2, 0.1)),
    "a comment in the suite": lambda project: append(project.suite_file, "\n# a comment\n"),
    "a module nobody imports": lambda project: (project.path / "unused.py").write_text("X = 1\n"),
}


def test_what_decides_no_number_trains_nothing(project: Project) -> None:
    for name, change in NEUTRAL.items():
        change(project)
        result = project.pytest()
        result.assert_outcomes(passed=4)
        assert project.trainings() == 1, name
        assert result.stdout.str().count("reused run of 20") == 2, name  # where progress is told and in the table


def test_fresh_trains_again_and_moves_the_old_run_aside(project: Project) -> None:
    before = project.run().name
    project.pytest("--lvm-fresh").assert_outcomes(passed=4)
    assert sorted(project.runs()) == [before, f"{before}.1"]
    project.pytest("--lvm-fresh").assert_outcomes(passed=4)
    assert sorted(project.runs()) == [before, f"{before}.1", f"{before}.2"]


def tamper(name: str, old: bytes, new: bytes) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        path = project.run() / name
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new, 1))

    return change


TAMPERED: dict[str, Callable[[Project], object]] = {
    "a better cosine": tamper("events.jsonl", b'"val_cosine":0.5', b'"val_cosine":0.9'),
    "another line": lambda project: append(project.run() / "events.jsonl", '{"event":"note","text":"x"}\n'),
    "half a line": lambda project: append(project.run() / "events.jsonl", '{"event":"note'),
    "no JSON": tamper("events.jsonl", b'{"event":"epoch"', b'["event":"epoch"'),
    "a record of more bytes": tamper("done.json", b'"bytes": ', b'"bytes": 1'),
    "another key": tamper("run.json", b'"key": "', b'"key": "0'),
    "no run.json": lambda project: (project.run() / "run.json").unlink(),
    "an empty record": lambda project: (project.run() / "done.json").write_text(""),
    "a record that is no table": lambda project: (project.run() / "done.json").write_text("[]"),
    "a record without its seal": lambda project: (project.run() / "done.json").write_text('{"status": "finished"}'),
}


def test_a_tampered_run_is_not_used(project: Project) -> None:
    for name, change in TAMPERED.items():
        change(project)
        result = project.pytest()
        result.assert_outcomes(passed=4)
        assert "reused run of" not in result.stdout.str(), name
        assert done(project.run())["status"] == "finished", name
        assert done(project.run())["sha256"], name
        assert json.loads((project.run() / "run.json").read_text())["config"]["epochs"] == 4, name


def test_the_trainer_imports_only_what_pytest_can(project: Project) -> None:
    """A module that lies where pytest was started, but not on its path, would escape the digest of the source."""
    (project.path / "pytest.ini").write_text("[pytest]\npythonpath = lib\n")
    (project.path / "lib").mkdir()
    for name in ("toy.py", "toy_deaths.py", "toy_config.py"):
        (project.path / name).rename(project.path / "lib" / name)
    result = project.pytest()
    result.assert_outcomes(failed=4)
    assert "No module named 'helper'" in result.stdout.str()


def test_verdicts_json_is_json_even_of_a_nan(pytester: pytest.Pytester) -> None:
    project = Project(pytester)
    project.suite('[[check]]\ncheck = "finite"\n', nan_at=[1, 7])
    project.pytest().assert_outcomes(failed=1)
    text = (project.run() / "verdicts.json").read_text()
    body = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert body["verdicts"][0]["outcome"]["finding"]["measured"] == "NaN"
