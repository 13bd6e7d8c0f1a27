"""``lvmcheck init`` from several seeds and from scripts: bounds from spread, what is left out, and CI after suites."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import judge
from lvmcheck.commands.init.bounds import RATE
from lvmcheck.commands.init.propose import bounds
from lvmcheck.commands.init.workflow import installed_from
from lvmcheck.commands.main import main
from lvmcheck.run.view import Run, run_from
from lvmcheck.statistics.rounding import rounded
from lvmcheck.statistics.seeds import chance_next_above
from lvmcheck.suite import load_suite

pytestmark = pytest.mark.own_process  # it sets the directory
ROOT = Path(__file__).parents[2]
FINALS = [0.90, 0.92, 0.91]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "their_training.py").write_text("def train(config, rec):\n    raise AssertionError('never run here')\n")
    return tmp_path


def recorded(folder: Path, seed: int, final: float = 0.9, **config: object) -> Path:
    """A finished run of three epochs, which differs by its seed."""
    path = folder / f"seed{seed}"
    with lvmcheck.record(path, config={"epochs": 3, "lr": 0.1, **config}, seed=seed) as rec:
        for epoch in (1, 2, 3):
            rec.step(loss=1.0 / epoch + final / 100)
            rec.epoch(epoch, val_accuracy=final - 0.1 * (3 - epoch), val_loss=1.1 / epoch + (1 - final), temp=1.0)
    return path


def suite_of(path: Path) -> dict[str, dict[str, object]]:
    checks = tomli.loads(path.read_text())["check"]
    return {f"{it['check']} {it.get('metric', '')} {it.get('epoch', '')}".strip(): it for it in checks}


# -- several seeds -----------------------------------------------------------------------------------------------------
def test_bounds_of_several_seeds_come_from_their_spread(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, final in enumerate(FINALS):
        recorded(here / "runs", seed, final)
    (here / "runs" / "notes.txt").write_text("a thought")
    assert main(["init", "--from", "runs", "--trainer", "their_training:train"]) == 0
    said = capsys.readouterr().out
    suite = load_suite(here / "suites" / "runs" / "suite.toml")
    assert suite.seeds == (0, 1, 2)
    floor = suite_of(here / "suites" / "runs" / "suite.toml")["metric val_accuracy final"]
    missed = 1 - chance_next_above(FINALS, float(str(floor["at_least"])))
    assert missed == pytest.approx(RATE, rel=0.02)
    assert all(name in said for name in ("left out temp", "left out runs/notes.txt"))  # each with its reason
    for seed in range(3):
        assert main(["check", f"runs/seed{seed}", "--suite", "suites/runs"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize("what", ["config", "length", "equal", "open"])
def test_runs_that_are_not_seeds_of_one_training(what: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(here, 0, 0.9)
    if what == "config":
        recorded(here, 1, 0.91, lr=0.2)
    elif what == "equal":
        recorded(here, 1, 0.9)
    elif what == "length":
        with lvmcheck.record(here / "seed1", config={"epochs": 1, "lr": 0.1}, seed=1) as rec:
            rec.epoch(1, val_accuracy=0.5)
    else:
        with pytest.raises(ZeroDivisionError), lvmcheck.record(here / "seed1", config={"epochs": 3, "lr": 0.1}) as rec:
            raise ZeroDivisionError
    code = main(["init", "--from", "seed0", "seed1", "--trainer", "their_training:train", "--name", "x"])
    said = capsys.readouterr()
    if what == "open":  # one that never finished is named and left out
        assert (code, "left out seed1" in said.out) == (0, True)
        return
    words = {"config": "lr", "length": "epochs", "equal": "identical runs: 1 distinct of 2"}
    assert code == 2
    assert words[what] in said.err
    assert said.err.count("\n") == 1
    assert not (here / "suites").exists()


values = st.lists(st.floats(0.05, 0.95), min_size=2, max_size=5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(values, min_size=1, max_size=4), st.floats(0, 1))
def test_no_bound_fails_a_better_model(curves: list[list[float]], nearer: float) -> None:
    length = min(map(len, curves))
    runs = [_run(curve[:length]) for curve in curves]
    proposals = list(bounds(runs, "r", []))
    better = _run([value + (1 - value) * nearer for value in max(curves, key=lambda it: it[:length][-1])[:length]])
    for proposal in proposals:
        outcome = judge(proposal.check(), better)
        if _is_better_everywhere(better, runs):
            assert outcome.status is Status.PASSED, proposal
    assert all(judge(it.check(), run).status is Status.PASSED for it in proposals for run in runs if len(runs) < 3)


def _run(scores: Sequence[float]) -> Run:
    return run_from({"val_accuracy": list(scores), "val_loss": [2 * (1 - score) for score in scores]})


def _is_better_everywhere(better: Run, runs: Sequence[Run]) -> bool:
    return all((better.series("val_accuracy").values >= run.series("val_accuracy").values).all() for run in runs)


def test_worse_ends_fail_where_seeds_agree() -> None:
    runs = [_run([0.5, 0.8, final]) for final in FINALS]
    worse = _run([0.5, 0.8, 0.7])
    failed = {it.check().label() for it in bounds(runs, "r", []) if judge(it.check(), worse).status is Status.FAILED}
    assert failed == {"metric[val_accuracy@final]", "metric[val_loss@final]"}
    stopping = {it.keys.get("abort_below") for it in bounds(runs, "r", []) if it.keys.get("epoch") == 1}
    assert any(isinstance(bound, float) and 0 < bound < 0.5 for bound in stopping)


def test_seeds_that_differ_too_much_have_no_floor() -> None:
    left: list[str] = []
    kept = list(bounds([run_from({"val_accuracy": [0.1, end]}) for end in (0.1, 0.9, 0.5)], "r", left))
    assert not [it for it in kept if it.keys.get("epoch") == "final"]
    assert any("val_accuracy" in sentence for sentence in left)


@pytest.mark.parametrize(
    ("value", "up", "expected"), [(0.12345, False, 0.1234), (0.12341, True, 0.1235), (-0.0012345, False, -0.001235)]
)
def test_bounds_are_rounded_to_the_side_that_asks_less(value: float, up: bool, expected: float) -> None:
    assert rounded(value, up=up) == pytest.approx(expected, rel=1e-12)


def test_what_cannot_be_handed_to_a_trainer_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(here, 0, optimizer="<class 'torch.optim.adam.Adam'>", nothing=None)
    assert main(["init", "--from", "seed0", "--trainer", "their_training:train"]) == 0
    said = capsys.readouterr().out
    assert [word for word in ("left out optimizer", "left out nothing") if word not in said] == []
    assert dict(load_suite(here / "suites" / "seed0" / "suite.toml").config) == {"epochs": 3, "lr": 0.1}


# -- scripts -----------------------------------------------------------------------------------------------------------
SCRIPT = """import lvmcheck

with lvmcheck.record("runs/mine", config={"epochs": 3}, seed=0) as rec:
    for epoch in (1, 2, 3):
        rec.step(loss=1.0 / epoch)
        rec.epoch(epoch, val_accuracy=1 - 0.3 / epoch, val_loss=1.1 / epoch + 0.01)
"""


def test_a_script_that_records_into_a_folder_of_its_own_is_left_as_it_is(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def does(*words: str) -> str:
        done = subprocess.run([*words], cwd=here, capture_output=True, text=True, check=False)
        return f"{done.returncode} {done.stdout}{done.stderr}"

    (here / "train.py").write_text(SCRIPT)
    assert does(sys.executable, "train.py").startswith("0 ")
    assert main(["init", "--from", "runs/mine", "--script", "python train.py"]) == 0
    command = tomli.loads((here / "suites" / "mine" / "suite.toml").read_text())["run"]["command"]
    assert command == ["train.py"]
    assert (here / "train.py").read_text() == SCRIPT
    capsys.readouterr()
    said = does(sys.executable, "-m", "pytest", "suites/mine", "-q", "-p", "no:cacheprovider")
    assert said.startswith("0 "), said
    assert sorted(path.name for path in (here / "runs").iterdir()) == ["mine"]


def test_a_script_that_records_nothing_is_run_by_the_command_that_does(here: Path) -> None:
    (here / "plain.py").write_text("print('no record')\n")
    with lvmcheck.record(here / "seen", config={"script": "plain.py", "arguments": ["3"]}) as rec:
        for step in range(20):
            rec.step(loss=1.0 / (step + 1))
    assert main(["init", "--from", "seen", "--script", "plain.py {seed}"]) == 0
    run = tomli.loads((here / "suites" / "seen" / "suite.toml").read_text())["run"]
    assert run["command"] == ["lvmcheck", "run", "--into", "{out}", "plain.py", "{seed}"]
    assert (run["epochs"], run["inputs"]) == (1, ["plain.py"])  # a script that tells of no epoch is one
    assert "metric train_loss final" in suite_of(here / "suites" / "seen" / "suite.toml")


def test_the_seed_of_a_script_is_its_own_where_it_takes_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "train.py").write_text(SCRIPT)
    for seed, final in enumerate(FINALS):
        recorded(here, seed, final)
    names = [f"seed{seed}" for seed in range(3)]
    assert main(["init", "--from", *names, "--script", "train.py", "--name", "x"]) == 0
    assert "to do: have train.py use its seed" in capsys.readouterr().out
    assert load_suite(here / "suites" / "x" / "suite.toml").seeds == (0,)


OPTIONS = """import argparse, lvmcheck

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--lr", type=float, default=0.5)
parser.add_argument("--hidden-size", type=int, default=1)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--amp", action="store_true")
parser.add_argument("--bias", action=argparse.BooleanOptionalAction)
"""
ASKED = {"lr": 0.02, "hidden_size": 64, "amp": True, "bias": False, "depth": 3, "epochs": 3, "seed": 4}


@pytest.mark.parametrize(
    ("script", "words", "left"),
    [
        (
            "train.py",
            "--lr 0.02 --hidden-size 64 --amp --no-bias --epochs 3 --seed {seed}",
            "left out depth: recorded as '3', and train.py gets no option for it",
        ),
        ("train.py --lr 1", "--lr 1", "left out hidden_size: recorded as '64'"),
    ],
    ids=["alone", "with arguments"],
)
def test_a_script_gets_what_was_recorded_as_far_as_it_has_options(
    here: Path, capsys: pytest.CaptureFixture[str], script: str, words: str, left: str
) -> None:
    (here / "train.py").write_text(OPTIONS)
    with lvmcheck.record(here / "seen", config=ASKED) as rec:
        for epoch in (1, 2, 3):
            rec.epoch(epoch, val_loss=1.1 / epoch)
    assert main(["init", "--from", "seen", "--script", script]) == 0
    said = capsys.readouterr().out
    assert left in said
    assert "left out lr" not in said
    run = tomli.loads((here / "suites" / "seen" / "suite.toml").read_text())["run"]
    assert run["command"] == ["train.py", *words.split()]
    assert run["seeds"] == [4]


BAD = {
    "no script": (["--from", "seed0", "--script", "trian.py"], "Did you mean 'train.py'?"),
    "half a quote": (["--from", "seed0", "--script", "train.py 'x"], "cannot be read as a command line"),
    "both": (["--from", "seed0", "--script", "train.py", "--trainer", "a:b"], "one of --trainer and --script"),
    "nothing to run": (["--script", "train.py"], "expected --from beside it"),
    "no function": (["--from", "seed0", "--trainer", "their_training:trian"], "Did you mean 'train'?"),
    "another function": (["--from", "seed0", "--trainer", "other:main"], "expected a function of (config, rec)"),
    "no run": (["--from", "seed0", "seed9"], "expected a recorded run, got nothing"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_mistake_is_one_line_and_writes_nothing(bad: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "train.py").write_text(SCRIPT)
    (here / "other.py").write_text("def main(folder):\n    pass\n")
    recorded(here, 0)
    assert main(["init", *BAD[bad][0]]) == 2
    said = capsys.readouterr().err.strip()
    assert BAD[bad][1] in said
    assert "\n" not in said
    assert not (here / "suites").exists()


# -- init after init ---------------------------------------------------------------------------------------------------
def test_ci_after_a_suite_and_a_suite_after_ci(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(here, 0)
    assert main(["init", "--from", "seed0", "--trainer", "their_training:train"]) == 0
    assert main(["init", "--ci"]) == 0  # of the suite that is there, installed from where this one came
    rules = here / "ci" / "gate.toml"
    assert [rule["file"] for rule in tomli.loads(rules.read_text())["suite"]] == ["suites/seed0/suite.toml"]
    assert not (here / "training_example.py").exists()
    for name in ("example", "other"):  # the second has the trainer of the first
        assert main(["init", "--name", name]) == 0
    assert main(["init", "--ci"]) == 0
    files = [rule["file"] for rule in tomli.loads(rules.read_text())["suite"]]
    assert files == [f"suites/{name}/suite.toml" for name in ("seed0", "example", "other")]
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["init"]) == main(["init", "--ci"]) == 0  # once more changes nothing
    assert "nothing to write" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_a_gpu_job_is_an_option(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--gpu"]) == 2
    assert "expected --ci beside it" in capsys.readouterr().err
    assert main(["init", "--ci", "--gpu"]) == 0
    (rule,) = tomli.loads((here / "ci" / "gate_gpu.toml").read_text())["suite"]
    assert (rule["profile"], rule["device"], rule["seeds"], rule["checks"]) == ("full", "cuda", 3, 9)
    text = (here / ".github" / "workflows" / "lvmcheck-gpu.yml").read_text()
    assert "--lvm-profile=full --lvm-device=cuda" in text
    assert not set(re.findall(r"@[A-Z]+@", text))
    pins = set(re.findall(r"uses: (.+)", text))
    assert pins <= set(re.findall(r"uses: (.+)", (ROOT / "ci" / "github" / "lvmcheck-gpu.yml").read_text()))
    for tool, words in {
        "zizmor": ["--offline", "--quiet", "--persona", "auditor"],
        "check-jsonschema": ["--builtin-schema", "vendor.github-workflows"],
    }.items():
        found = shutil.which(tool, path=str(Path(sys.executable).parent))
        if found is not None:
            file = str(here / ".github" / "workflows" / "lvmcheck-gpu.yml")
            done = subprocess.run([found, *words, file], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


def test_what_ci_installs_is_where_this_package_came_from() -> None:
    spec, todo = installed_from()
    assert spec.startswith("lvmcheck")
    assert todo is None or "LVMCHECK" in todo
    assert os.linesep not in spec
