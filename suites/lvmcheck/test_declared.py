"""Who writes a run, and what is said of it: two writers, another config, roles and baselines that contradict."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lvmcheck
from lvmcheck.commands._judging import as_it_stands
from lvmcheck.commands._remarks import baseline_of_another_task, unrecorded_roles
from lvmcheck.commands.main import BAD_INPUT, PASSED
from lvmcheck.run.locks import writer_is_gone
from suites.lvmcheck.test_cli import call

CLASSES, VALUES = np.arange(100) % 10, np.linspace(-1.0, 1.0, 100)


def trained(folder: Path, roles: Mapping[str, Any] | None = None, **metrics: list[float]) -> Path:
    with lvmcheck.record(folder) as rec:
        if roles is not None:
            rec.declare(roles=roles)
        for epoch in range(1, 5):
            rec.step(loss=2.0 / epoch)
            rec.epoch(epoch, **{name: values[epoch - 1] for name, values in metrics.items()})
    return folder


# -- writers -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", ["resume='auto'", "replace=True"])
def test_a_second_process_is_refused_while_the_first_writes(tmp_path: Path, options: str) -> None:
    code = f"import sys, lvmcheck; lvmcheck.record(sys.argv[1], {options}).close('finished')"
    command = [sys.executable, "-c", code, tmp_path / "run"]
    with lvmcheck.record(tmp_path / "run") as rec:
        rec.step(loss=1.0)
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        assert done.returncode
        assert "another process is writing this run" in done.stderr.splitlines()[-1]
        rec.step(loss=0.5)
    assert lvmcheck.load(tmp_path / "run").step == 2
    assert not (tmp_path / "run.1").exists()
    assert subprocess.run(command, capture_output=True, timeout=180).returncode == 0


def test_two_recorders_of_one_process(tmp_path: Path) -> None:
    first = lvmcheck.record(tmp_path / "run")
    first.step(loss=1.0)
    with pytest.raises(lvmcheck.InputError, match="another recorder of this process"):
        lvmcheck.record(tmp_path / "run", resume="auto")
    second = lvmcheck.record(tmp_path / "run", replace=True)  # a cell of a notebook that is run again
    second.step(loss=2.0)
    first.close("finished")
    second.close("finished")
    assert [lvmcheck.load(tmp_path / name).windows[0].loss_mean for name in ("run.1", "run")] == [1.0, 2.0]
    lvmcheck.record(tmp_path / "run", resume="auto").close("finished")


def test_a_run_that_this_process_writes_is_not_dead(tmp_path: Path) -> None:
    rec = lvmcheck.record(tmp_path / "run")
    rec.step(loss=1.0)
    assert not writer_is_gone(tmp_path / "run")
    assert as_it_stands(lvmcheck.load(tmp_path / "run")).death is None
    code = "import sys, lvmcheck; lvmcheck.record(sys.argv[1], resume='auto')"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "run"], capture_output=True, timeout=180)
    assert done.returncode, "a look at the lock has given it up"
    rec.close("finished")
    assert writer_is_gone(tmp_path / "run")


@pytest.mark.parametrize(
    ("config", "seed", "key"),
    [
        ({"lr": 2, "model": {"d": 3}}, 1, "config.lr"),
        ({"lr": 1, "model": {"d": 4}}, 1, "config.model"),
        ({"model": {"d": 3}}, 1, "config.lr"),
        ({"lr": 1, "model": {"d": 3}, "new": 0}, 1, "config.new"),
        ({"lr": 1, "model": {"d": 3}}, 2, "seed"),
    ],
)
def test_a_resumed_run_has_the_same_config(tmp_path: Path, config: dict[str, Any], seed: int, key: str) -> None:
    with lvmcheck.record(tmp_path / "run", config={"lr": 1, "model": {"d": 3}}, seed=1) as rec:
        rec.step(loss=1.0)
    with pytest.raises(lvmcheck.InputError) as caught:
        lvmcheck.record(tmp_path / "run", config=config, seed=seed, resume="auto")
    assert caught.value.key == key
    assert len(str(caught.value).splitlines()) == 1


# -- roles -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("roles", "key"),
    [
        ({"val_loss": {"direction": "higher"}}, "roles.val_loss"),
        ({"val_accuracy": {"direction": "lower"}}, "roles.val_accuracy"),
        ({"x": {"dirction": "higher"}}, "roles.x"),
        ({"x": {"direction": "up"}}, "roles.x"),
        ({"x": {"low": 1.0, "high": 0.0}}, "roles.x"),
        ({"x": {"low": "0"}}, "roles.x"),
        ({"x": "acuracy"}, "roles.x"),
        ({"x": 7}, "roles.x"),
    ],
)
def test_a_role_that_cannot_be_is_refused_at_the_call(tmp_path: Path, roles: dict[str, Any], key: str) -> None:
    rec = lvmcheck.record(tmp_path / "run")
    with pytest.raises(lvmcheck.InputError) as caught:
        rec.declare(roles=roles)
    assert caught.value.key == key
    assert (caught.value.where, caught.value.line is None) == (__file__, False)
    rec.declare(roles={"x": {"direction": "higher"}})
    rec.close("finished")


def test_a_role_is_declared_once(tmp_path: Path) -> None:
    rec = lvmcheck.record(tmp_path / "run")
    for _ in range(2):
        rec.declare(roles={"x": {"direction": "higher"}})
    with pytest.raises(lvmcheck.InputError) as caught:
        rec.declare(roles={"x": {"direction": "lower"}})
    assert caught.value.key == "roles.x"
    rec.close("finished")


def test_another_quantity_has_its_own_direction(tmp_path: Path) -> None:
    role = {"val_score": {"quantity": "error", "direction": "lower"}}
    run = lvmcheck.load(trained(tmp_path / "run", role, val_score=[4.0, 3.0, 2.0, 1.0]))
    assert run.curves.roles["val_score"].quantity == "error"


@pytest.mark.parametrize("command", ["check", "diagnose"])
def test_a_role_against_its_values_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    run = trained(tmp_path / "run", {"val_acc": {"low": 0.0, "high": 1.0}}, val_acc=[0.1, 0.5, 70.0, 80.0])
    code, out, err = call(capsys, command, run)
    assert (code, out) == (BAD_INPUT, "")
    assert len(err.splitlines()) == 1
    assert "roles.val_acc" in err


def test_a_role_declared_twice_in_a_record_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "run", {"x": {"direction": "higher"}}, x=[1.0, 2.0, 3.0, 4.0])
    lines = (run / "events.jsonl").read_text().splitlines()
    said = next(line for line in lines if '"declare"' in line)
    (run / "events.jsonl").write_text("\n".join([*lines, said.replace("higher", "lower")]) + "\n")
    (run / "done.json").unlink()
    code, _, err = call(capsys, "check", run)
    assert code == BAD_INPUT
    assert len(err.splitlines()) == 1
    assert "roles.x" in err


def test_a_role_of_a_metric_that_is_not_recorded_is_hinted_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path / "run", {"val_scoer": {"direction": "higher"}}, val_score=[0.1, 0.2, 0.3, 0.4])
    assert [(name, "'val_score'" in fix) for name, fix in unrecorded_roles(lvmcheck.load(run))] == [("val_scoer", True)]
    code, out, _ = call(capsys, "check", run)
    assert code == PASSED
    assert "hint: " in out


# -- baselines ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("targets", "metric", "told"),
    [
        (VALUES, "val_accuracy", ("values", "val_accuracy")),
        (VALUES, "val_mse", None),
        (CLASSES, "val_mae", ("classes", "val_mae")),
        (CLASSES, "val_accuracy", None),
    ],
)
def test_baselines_of_another_task_are_hinted_at(
    tmp_path: Path, targets: Any, metric: str, told: tuple[str, str] | None
) -> None:
    with lvmcheck.record(tmp_path / "run") as rec:
        rec.baselines(targets)
        for epoch in range(1, 4):
            rec.step(loss=1.0 / epoch)
            rec.epoch(epoch, **{metric: 0.3 * epoch})
    assert baseline_of_another_task(lvmcheck.load(tmp_path / "run")) == told


def test_baselines_of_two_tasks_are_refused(tmp_path: Path) -> None:
    rec = lvmcheck.record(tmp_path / "run")
    rec.baselines(CLASSES)
    rec.baselines(CLASSES[::-1])
    with pytest.raises(lvmcheck.InputError) as caught:
        rec.baselines(VALUES)
    assert caught.value.key == "baselines"
    with pytest.raises(lvmcheck.InputError, match="Did you mean 'classes'"):
        rec.baselines(CLASSES, "class")  # type: ignore[arg-type]
    rec.close("finished")


# -- values ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [True, np.bool_(False), np.array(True)])
def test_a_truth_value_is_no_number(tmp_path: Path, value: Any) -> None:
    rec = lvmcheck.record(tmp_path / "run")
    calls = {
        "loss": lambda: rec.step(loss=value),
        "grad_norm": lambda: rec.step(loss=1.0, grad_norm=value),
        "lr": lambda: rec.step(loss=1.0, lr=value),
        "samples": lambda: rec.step(loss=1.0, samples=value),
        "accuracy": lambda: rec.step(loss=1.0, accuracy=value),
        "mse": lambda: rec.step(loss=1.0, terms={"mse": (1.0, value)}),
        "val_accuracy": lambda: rec.epoch(1, val_accuracy=value),
        "score": lambda: rec.log({"score": value}),
    }
    for key, refused in calls.items():
        with pytest.raises(lvmcheck.InputError) as caught:
            refused()
        assert (caught.value.key, caught.value.where) == (key, __file__)
    assert rec.steps == 0
    rec.close("finished")


@pytest.mark.parametrize("samples", [-1, 1.5, float("nan"), "many"])
def test_samples_are_counted(tmp_path: Path, samples: Any) -> None:
    with lvmcheck.record(tmp_path / "run") as rec:
        with pytest.raises(lvmcheck.InputError) as caught:
            rec.step(loss=1.0, samples=samples)
        assert caught.value.key == "samples"
        rec.step(loss=1.0, samples=np.int64(32))
    assert lvmcheck.load(tmp_path / "run").windows[0].samples == 32
