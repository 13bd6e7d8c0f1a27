"""What a newcomer types wrong or has set up otherwise: one line each, with what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import lvmcheck
from lvmcheck.commands.main import main
from suites.ci.gate_kit import GATE, Repository, ask, refused
from suites.lvmcheck.plugin_kit.project import OPTIONS

pytestmark = pytest.mark.own_process  # it sets the directory


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with lvmcheck.record(tmp_path / "runs" / "mine", config={"epochs": 1}) as rec:
        rec.step(loss=1.0)
        rec.epoch(1, val_loss=1.0)
    (tmp_path / "train.py").write_text("print('no record')\n")
    assert main(["init"]) == 0
    capsys.readouterr()
    return tmp_path


TYPED = {
    "no run": (["check", "runs/mien"], "Did you mean 'runs/mine'?"),
    "no run to report": (["report", "runs/mien"], "Did you mean 'runs/mine'?"),
    "no run to diagnose": (["diagnose", "run/mine"], "Did you mean 'runs/mine'?"),
    "no run at all": (["check", "xyz"], "Runs here: runs/mine."),
    "no script": (["run", "trian.py"], "Did you mean 'train.py'?"),
    "no trainer": (["init", "--name", "x", "--trainer", "training_exmple:train"], "It must be importable"),
    "no suite": (["calibrate", "xyz"], "Suites here: suites/example."),
    "no command": (["chek", "runs/mine"], "Did you mean 'check'?"),
    "no option": (["check", "runs/mine", "--verbosee"], "Did you mean '--verbose'?"),
    "no check to explain": (["explain", "overfit"], "Did you mean 'overfits'?"),
    "not a git repository": (
        ["compare", "main", "HEAD", "--suite", "suites/example"],
        "in the repository of the suite",
    ),
}


@pytest.mark.parametrize("what", TYPED)
def test_typed_wrong(what: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, says = TYPED[what]
    assert here.is_dir()
    assert main(words) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert says in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--lvm-seeds", "0,x"], "--lvm-seeds: expected distinct integers such as 0,1,2, got '0,x'"),
        (["--lvm-seeds", "1,1"], "--lvm-seeds: expected distinct integers"),
        (["--lvm-profile", "smok"], "Did you mean 'smoke'?"),
        (["--lvm-device", "gpu"], "gpu"),
    ],
)
def test_options_of_pytest(pytester: pytest.Pytester, words: list[str], says: str) -> None:
    assert main(["init"]) == 0
    found = pytester.runpytest(*OPTIONS, "suites", *words)
    assert found.ret != 0
    assert says in found.stdout.str() + found.stderr.str()
    assert "Traceback" not in found.stdout.str() + found.stderr.str()


def test_a_workflow_that_is_there_is_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = here / ".github" / "workflows" / "lvmcheck.yml"
    file.parent.mkdir(parents=True)
    file.write_text("theirs")
    assert main(["init", "--ci"]) == 0
    assert "to do: .github/workflows/lvmcheck.yml was there and is as it was" in capsys.readouterr().out
    assert file.read_text() == "theirs"
    (here / "ci" / "gate_git.py").write_text("older")
    assert main(["init", "--ci"]) == 2
    said = capsys.readouterr().err
    assert "ci/gate_git.py: exists already. Nothing was written." in said
    assert said.count("\n") == 1


# -- the gate ----------------------------------------------------------------------------------------------------------
def test_a_gate_outside_of_git(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text("{}")
    answer = ask(report, "--require", GATE.parent / "gate_cpu.toml", cwd=tmp_path)
    assert answer.returncode == 2
    assert "run it in the git repository" in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.fixture
def repository(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Repository:
    made = Repository(pytester)
    monkeypatch.chdir(made.path)
    return made


def test_a_dirty_tree_is_named_with_what_to_do(repository: Repository) -> None:
    (repository.path / "mine.py").write_text((repository.path / "mine.py").read_text() + "\n# more\n")
    repository.session()
    refused(repository.gate(), "mine.py", "to do: commit or undo what is named")


def windows(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def test_line_ends_of_windows_are_accepted(repository: Repository) -> None:
    for name in ("suites/toy/suite.toml", "mine.py", "gate.toml", "pytest.ini"):
        windows(repository.path / name)
    repository.start_from_here()
    repository.session(apart=True)
    answer = repository.gate()
    assert answer.stdout.startswith("accepted: "), answer.stdout


def test_line_ends_of_windows_in_what_is_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    windows(here / "suites" / "example" / "suite.toml")
    (here / "log.csv").write_bytes(b"epoch,val_loss\r\n1,1.0\r\n2,0.5\r\n3,0.25\r\n")
    assert main(["check", "log.csv"]) == 0
    capsys.readouterr()
    assert main(["init"]) == 0  # the same suite, though its line ends are others
    assert "nothing to write" in capsys.readouterr().out
