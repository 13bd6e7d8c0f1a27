"""``lvmcheck init``: suites for other repositories load, pass at once, and judge their own run as passed."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

import lvmcheck
from lvmcheck.commands.init.bounds import wobble
from lvmcheck.commands.init.propose import propose
from lvmcheck.commands.init.workflow import SCRIPTS
from lvmcheck.commands.init.write import PYTEST_INI
from lvmcheck.commands.main import main
from lvmcheck.run.view import Run, run_from
from lvmcheck.suite import load_suite
from lvmcheck.suite.toml_text import key_text, value_text

pytestmark = pytest.mark.own_process  # it sets the directory

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "fixtures" / "runs"


def healthy(folder: Path) -> bool:
    """By what was recorded about the fixture: no check may fail and no cause may be named."""
    said = json.loads((folder / "expected.json").read_text())
    return not said["failed"] and not said["first"]


HEALTHY = [folder.name for folder in sorted(RUNS.iterdir()) if healthy(folder)]
SICK = [folder.name for folder in sorted(RUNS.iterdir()) if not healthy(folder)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another repository with a trainer in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "their_training.py").write_text("def train(config, rec):\n    raise AssertionError('never run here')\n")
    return tmp_path


# -- from nothing ------------------------------------------------------------------------------------------------------
def test_an_empty_folder_has_a_passing_suite_after_one_command(tmp_path: Path) -> None:
    for words in (
        ["lvmcheck.commands.main", "init"],
        ["pytest", "suites/example", "-W", "error", "-p", "no:cacheprovider"],
    ):
        done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "25 passed" in done.stdout
    versions = json.loads(next(tmp_path.rglob("run.json")).read_text())["versions"]
    assert "torch" not in versions  # the example needs none
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if ".lvmcheck" not in path.parts}
    assert {"suites/example/suite.toml", "training_example.py", "pytest.ini"} <= written


def test_the_example_can_be_stopped_and_goes_on(tmp_path: Path) -> None:
    from lvmcheck.commands.init.training_example import train
    from lvmcheck.run.recorder import Recorder

    config = {"seed": 0, "epochs": 4, "windows": 40, "batch_size": 8, "lr": 0.5}
    for name in ("whole", "cut"):
        with lvmcheck.record(tmp_path / name, config=config) as rec:
            train(config if name == "whole" else config | {"epochs": 2}, rec)
    (tmp_path / "again").mkdir()
    rest = Recorder(tmp_path / "again", resume=tmp_path / "cut" / "checkpoints" / "epoch-2")
    train(config, rest)
    rest.close("finished")
    whole, again = (lvmcheck.load(tmp_path / name).series("val_cosine") for name in ("whole", "again"))
    assert again.epochs.tolist() == [3, 4]
    assert again.values.tolist() == whole.values.tolist()[2:]
    with lvmcheck.record(tmp_path / "stopped") as rec:
        rec.ask_to_stop("a test")
        train(config, rec)
    assert lvmcheck.load(tmp_path / "stopped").step == 0


def test_the_trainer_of_the_person_gets_a_suite_to_start_from(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--trainer", "their_training:train", "--name", "theirs"]) == 0
    suite = load_suite(here / "suites" / "theirs" / "suite.toml")
    assert (suite.trainer, len(suite.checks)) == ("their_training:train", 3)
    assert (here / "pytest.ini").read_text() == PYTEST_INI
    assert not (here / "training_example.py").exists()
    assert "next: pytest suites/theirs" in capsys.readouterr().out


def test_their_pytest_settings_are_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "-q"\n')
    assert main(["init"]) == 0
    assert 'to do: add pythonpath = ["."] to the pytest settings in pyproject.toml' in capsys.readouterr().out
    assert not (here / "pytest.ini").exists()


def test_another_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "new/repository"]) == 0
    assert (here / "new/repository/suites/example/suite.toml").is_file()
    assert "next: cd new/repository && pytest suites/example" in capsys.readouterr().out


# -- a workflow and its gate -------------------------------------------------------------------------------------------
SPEC = "lvmcheck @ git+https://example.org/them/lvmcheck@0123456789abcdef"


@pytest.mark.parametrize("own", ["", "requirements.txt", "pyproject.toml"])
def test_the_workflow_is_that_of_this_repository_and_lints(own: str, here: Path) -> None:
    if own:
        (here / own).write_text("")
    assert main(["init", "--ci", SPEC]) == 0
    written = here / ".github" / "workflows" / "lvmcheck.yml"
    text, ours = written.read_text(), (ROOT / "ci" / "github" / "lvmcheck-cpu.yml").read_text()
    pins = re.findall(r"uses: (.+)", text)
    assert len(pins) == 5
    assert set(pins) <= set(re.findall(r"uses: (.+)", ours))  # one place to update them
    assert f"LVMCHECK: {json.dumps(SPEC)}" in text
    asked = {"": '"$LVMCHECK"\n', "requirements.txt": " -r requirements.txt\n", "pyproject.toml": '"$LVMCHECK" .\n'}
    assert asked[own] in text
    for name in ("gate.py", "gate_files.py", "without_commands.sh"):
        assert (here / "ci" / name).read_bytes() == (ROOT / "ci" / name).read_bytes()
    zizmor = shutil.which("zizmor", path=str(Path(sys.executable).parent))
    if zizmor is None:
        pytest.skip("zizmor is not installed: pip install -e '.[dev]'")
    done = subprocess.run(
        [zizmor, "--offline", "--quiet", "--persona", "auditor", str(written)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gate_that_was_written_accepts_the_suite_and_refuses_less(here: Path) -> None:
    def does(*words: str) -> str:
        done = subprocess.run([*words], cwd=here, env=environment, capture_output=True, text=True, check=False)
        return f"{done.returncode} {done.stdout}{done.stderr}"

    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "CI"))}
    environment["LVMCHECK_NONCE"] = "of-this-session"
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
    assert main(["init", "--ci", SPEC]) == 0
    assert not (here / ".gitignore").exists()  # nobody has to know what lvmcheck writes
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a suite"]):
        assert does(*git, *words).startswith("0 ")
    session = [sys.executable, "-m", "pytest", "suites", "--lvm-profile=smoke", "--lvm-device=cpu"]
    session += ["-p", "no:cacheprovider", "--lvm-json=.lvmcheck/report.json"]
    decide = [sys.executable, "ci/gate.py", ".lvmcheck/report.json", "--require", "ci/gate.toml", "--base", "none"]
    for nonce in ("of-this-session", "of-the-next-session"):
        environment["LVMCHECK_NONCE"] = nonce
        assert "25 passed" in does("bash", "ci/without_commands.sh", *session)
        assert does(*decide).startswith("0 accepted")
    does(*session, "-k", "not finite")
    assert "3 tests were deselected" in does(*decide)


def test_every_script_of_the_gate_is_written() -> None:
    scripts = {path.name for path in (Path(__file__).parents[2] / "ci").glob("gate*.py")}
    assert set(SCRIPTS) == {*scripts, "without_commands.sh"}


def test_a_second_suite_joins_the_gate_of_the_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--ci", SPEC]) == 0
    run = ["init", "--from", str(RUNS / HEALTHY[0]), "--trainer", "their_training:train", "--ci", SPEC]
    assert main(run) == 0
    rules = tomli.loads((here / "ci" / "gate.toml").read_text())["suite"]
    assert [rule["file"] for rule in rules] == ["suites/example/suite.toml", f"suites/{HEALTHY[0]}/suite.toml"]
    assert ".github/workflows/lvmcheck.yml was there" in capsys.readouterr().out
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    assert main(run) == 2  # the suite is there
    (here / "ci" / "gate_git.py").write_text("older")
    assert main([*run, "--name", "another"]) == 2
    assert "gate_git.py: exists already" in capsys.readouterr().err
    (here / "ci" / "gate_git.py").write_bytes(before[here / "ci" / "gate_git.py"])
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


# -- from a run --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_passes_its_own_suite(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--from", str(RUNS / name), "--trainer", "their_training:train"]) == 0
    file = here / "suites" / name / "suite.toml"
    table = tomli.loads(file.read_text())
    capsys.readouterr()
    assert main(["check", str(RUNS / name), "--suite", str(file)]) == 0, capsys.readouterr().out
    told = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("note: ")]
    assert all(line.startswith("✓") for line in told)
    assert len(told) == table["suite"]["checks"] == len(table["check"])
    assert all(name in check["source"] for check in table["check"])
    floors = [check for check in table["check"] if check["check"] == "cosine_floor"]
    assert floors, "every healthy run of the fixtures records a cosine"
    assert all("at epoch" in check["source"] and "taken off" in check["source"] for check in floors)


@pytest.mark.parametrize("name", SICK)
def test_no_floor_is_taken_from_a_sick_run(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--from", str(RUNS / name), "--trainer", "their_training:train"]) == 2
    said = capsys.readouterr().err
    assert "expected a healthy run, got one with" in said
    assert "lvmcheck diagnose" in said
    assert not (here / "suites").exists()


def test_a_sick_run_anyway_is_marked_in_the_file(here: Path) -> None:
    words = ["init", "--from", str(RUNS / "amn_790k_attempt_1"), "--trainer", "their_training:train", "--anyway"]
    assert main(words) == 0
    text = (here / "suites" / "amn_790k_attempt_1" / "suite.toml").read_text()
    assert "# NOT A HEALTHY RUN: loss_ledger failed" in text
    assert 'check = "loss_ledger"' not in text
    assert "# NOT A HEALTHY RUN: cause hidden_term" in text


def test_floors_stand_where_the_curve_and_the_data_put_them(here: Path) -> None:
    main(["init", "--from", str(RUNS / "amn_584k_pure_mse"), "--trainer", "their_training:train"])
    checks = tomli.loads((here / "suites" / "amn_584k_pure_mse" / "suite.toml").read_text())["check"]
    floors = {(c["metric"], c["epoch"], c.get("name")): c for c in checks if c["check"] == "cosine_floor"}
    final = floors["val_cosine", "final", None]
    assert final["floor"] == 0.5503  # 0.5605 less 0.01 and 0.0002, the median step of epochs 11 to 20
    assert final["calibrated_on"] == "wiki_584k"
    assert floors["val_cosine", "final", "val_cosine@final of the data"]["floor"] == "best_linear + 0.0113"
    first = floors["train_cosine", 1, None]
    assert (first["floor"], first["abort_below"]) == (0.4981, 0.4681)
    assert "0.5281 at epoch 1" in first["source"]


def test_a_steep_curve_is_given_more_room() -> None:
    kept, _ = propose([run_from({"val_cosine": [0.4, 0.6, 0.8]})], "r")
    floor = next(p.keys for p in kept if p.keys.get("epoch") == 1)
    assert floor == {"metric": "val_cosine", "epoch": 1, "floor": 0.3, "abort_below": 0.2}


def test_a_csv_of_another_logger(here: Path) -> None:
    rows = "".join(f"{epoch},{1 / epoch:.4f},{1 - 0.5 / epoch:.4f}\n" for epoch in range(1, 9))
    (here / "log.csv").write_text("epoch,validation/loss,validation/accuracy\n" + rows)
    columns = "val_loss=validation/loss,val_accuracy=validation/accuracy"
    words = ["init", "--from", "log.csv", "--columns", columns, "--trainer", "their_training:train"]
    assert main(words) == 0
    file = here / "suites" / "log" / "suite.toml"
    uses = {entry.node for entry in load_suite(file).checks}
    bounded = {"plausible_range[val_loss]", "metric[val_loss@final]", "metric[val_accuracy@final]"}
    assert {*bounded, "metric[val_accuracy@1]", "val_loss_descends[val_loss]"} <= uses
    assert main(["check", "log.csv", "--columns", columns, "--suite", str(file)]) == 0


def test_the_configuration_of_the_run_is_kept(here: Path) -> None:
    odd = {"epochs": 2, "lr": 5e-4, "none": None, "nan": math.nan, "a key": [1, "x\x7f\n"], "deep": {"x": {"y": None}}}
    with lvmcheck.record(here / "run", config=odd, seed=7) as rec:
        for epoch in (1, 2):
            rec.step(loss=1.0)
            rec.epoch(epoch, val_cosine=0.5 + 0.1 * epoch)
    assert main(["init", "--from", "run", "--trainer", "their_training:train"]) == 0
    text = (here / "suites" / "run" / "suite.toml").read_text()
    suite = load_suite(here / "suites" / "run" / "suite.toml")
    assert suite.seeds == (7,)
    assert dict(suite.config) == {"epochs": 2, "lr": 5e-4, "a key": [1, "x\x7f\n"], "deep": {"x": {}}}
    assert "# nan was recorded and is left out" in text


# -- bad input ---------------------------------------------------------------------------------------------------------
BAD = {
    "nothing there": (["--from", "nowhere"], "expected a recorded run, got nothing"),
    "no trainer": (["--from", str(RUNS / "amn_584k_pure_mse")], "--trainer package.module:function"),
    "other trainer": (["--trainer", "nobody.here:train"], "no module 'nobody.here'"),
    "name outside": (["--name", "../x"], "expected up to 61 letters"),
    "no run to read": (["--columns", "a=b"], "expected --from beside it"),
    "no place to install from": (["--ci", "a\nb"], "expected what pip installs lvmcheck from"),
    "a file": (["their_training.py"], "expected a folder, got a file"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_mistake_is_one_line_and_writes_nothing(bad: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, says = BAD[bad]
    assert main(["init", *words]) == 2
    said = capsys.readouterr().err.strip()
    assert says in said
    assert "\n" not in said
    assert [path.name for path in here.iterdir()] == ["their_training.py"]


@pytest.mark.parametrize("name", ["suites/example/suite.toml", "training_example.py"])
def test_nothing_is_overwritten(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / name).parent.mkdir(parents=True, exist_ok=True)
    (here / name).write_text("theirs")
    assert main(["init"]) == 2
    assert f"{name}: exists already. Nothing was written." in capsys.readouterr().err
    assert (here / name).read_text() == "theirs"
    assert not (here / "pytest.ini").exists()


@pytest.mark.parametrize("status", ["stopped", "finished", "failed"])
def test_a_run_that_was_cut_short_is_no_source(status: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rec = lvmcheck.record(here / "run", config={"epochs": 9})
    rec.step(loss=1.0)
    rec.epoch(1, val_cosine=0.5)
    rec.close(status)
    assert main(["init", "--from", "run", "--trainer", "their_training:train"]) == 2
    assert f"expected a finished run with epochs, got: run {status} at epoch 1 of 9" in capsys.readouterr().err


def test_a_configuration_that_no_suite_can_hold(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep: dict[str, object] = {}
    for _ in range(40):
        deep = {"x": deep}
    configs: dict[str, dict[str, object]] = {"deep": deep, "wide": {"x": ["y" * 1000] * 2000}}
    for name, config in configs.items():
        with lvmcheck.record(here / name, config=config) as rec:
            rec.step(loss=1.0)
            rec.epoch(1, val_cosine=0.5)
        assert main(["init", "--from", name, "--trainer", "their_training:train"]) == 2
        said = capsys.readouterr().err.strip()
        assert said.startswith("the suite")
        assert "\n" not in said
        assert not (here / "suites").exists()


# -- parts -------------------------------------------------------------------------------------------------------------
def test_wobble_is_that_of_the_second_half() -> None:
    assert wobble(run_from({"m": [0.0, 0.4, 0.5, 0.51, 0.5, 0.51]}).series("m")) == 0.01
    assert wobble(run_from({"m": [0.1, 0.9]}).series("m")) == 0.0


def test_a_metric_that_is_not_finite_has_no_floor() -> None:
    kept, _ = propose([run_from({"val_cosine": [0.5, math.nan, 0.6]})], "r")
    assert not [p for p in kept if p.check_name == "cosine_floor"]


plain = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(), plain)
def test_values_come_back_from_toml_as_they_were(key: str, value: object) -> None:
    assert tomli.loads(f"{key_text(key)} = {value_text(value)}") == {key: value}


def test_nothing_that_cannot_be_seen_is_written() -> None:
    text = value_text("a\u202eb\x7f\U000e0001\u2028")
    assert text.isprintable()
    assert tomli.loads(f"x = {text}") == {"x": "a\u202eb\x7f\U000e0001\u2028"}


@pytest.mark.parametrize("value", [None, math.nan, math.inf, 2**63, b"x", [None], {"a": None}, "\ud800"])
def test_what_toml_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        value_text(value)


def test_proposals_pass_on_any_finished_curve() -> None:
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(st.floats(-1, 1), min_size=1, max_size=8), st.lists(st.floats(0, 100), min_size=8, max_size=8))
    def holds(cosines: list[float], losses: list[float]) -> None:
        run: Run = run_from({"val_cosine": cosines, "val_loss": losses[: len(cosines)]})
        kept, _ = propose([run], "r")
        assert kept
        assert all(p.check().judge(run).status.value == "passed" for p in kept)

    holds()
