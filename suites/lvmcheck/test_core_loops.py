"""The recorder in loops as people write them: counting from 0, by steps alone, requeued, on several ranks, mistaken."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lvmcheck
from lvmcheck.errors import InputError
from lvmcheck.run import events as ev
from lvmcheck.run.silent import SilentRecorder
from lvmcheck.run.start import record

HERE = Path(__file__).name


@pytest.mark.parametrize("first", [0, 1])
def test_epochs_count_from_0_or_from_1(tmp_path: Path, first: int) -> None:
    with record(tmp_path / "run") as rec:
        for epoch in range(first, first + 3):
            rec.step(loss=1.0)
            rec.epoch(epoch, val_loss=0.5)
    run = lvmcheck.load(tmp_path / "run")
    assert [event.epoch for event in run.of(ev.Epoch)] == [1, 2, 3]
    assert [event.counted_as for event in run.of(ev.Epoch)] == ([0, 1, 2] if first == 0 else [None] * 3)
    assert [window.epoch for window in run.windows] == [1, 2, 3]


@pytest.mark.parametrize("bad", [2, 1, -1, 10**30, True, 1.5, "3"])
def test_an_epoch_that_does_not_go_forward_is_refused_where_it_is_reported(tmp_path: Path, bad: Any) -> None:
    with record(tmp_path / "run") as rec:
        rec.epoch(1, val_loss=0.5)
        rec.epoch(2, val_loss=0.4)
        with pytest.raises(InputError) as caught:
            rec.epoch(bad, val_loss=0.3)
        rec.epoch(5, val_loss=0.2)
    assert caught.value.key == "epoch"
    assert Path(caught.value.where).name == HERE
    assert [event.epoch for event in lvmcheck.load(tmp_path / "run").of(ev.Epoch)] == [1, 2, 5]


WRONG: dict[str, Any] = {
    "text": "0.5",
    "vector": torch.ones(3),
    "matrix": np.ones((2, 2)),
    "complex": torch.tensor(1j),
    "list": [1.0],
    "object": object(),
}


@pytest.mark.parametrize("call", ["loss", "grad_norm", "term", "metric", "epoch", "log", "probe", "lr"])
@pytest.mark.parametrize("kind", WRONG)
def test_a_value_that_is_no_number_is_refused_at_the_call(tmp_path: Path, call: str, kind: str) -> None:
    value = WRONG[kind]
    calls = {
        "loss": lambda rec: rec.step(loss=value),
        "grad_norm": lambda rec: rec.step(loss=1.0, grad_norm=value),
        "lr": lambda rec: rec.step(loss=1.0, lr=value),
        "term": lambda rec: rec.step(loss=1.0, terms={"mse": (1.0, value)}),
        "metric": lambda rec: rec.step(loss=1.0, accuracy=value),
        "epoch": lambda rec: rec.epoch(1, val_loss=value),
        "log": lambda rec: rec.log({"val_loss": value}),
        "probe": lambda rec: rec.probe("norms", {"a": value}),
    }
    with record(tmp_path / "run") as rec:
        with pytest.raises(InputError) as caught:
            calls[call](rec)
        assert Path(caught.value.where).name == HERE
        assert caught.value.line is not None
        rec.step(loss=1.0)
    assert lvmcheck.load(tmp_path / "run").step == 1, "the run can still be read, and the bad step is not in it"


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), torch.tensor(0.5), torch.tensor(2), math.nan])
def test_every_single_number_is_taken(tmp_path: Path, value: Any) -> None:
    with record(tmp_path / "run") as rec:
        rec.step(loss=value, grad_norm=value, accuracy=value, terms={"mse": (1.0, value)})
        rec.epoch(1, val_loss=value)
    run = lvmcheck.load(tmp_path / "run")
    assert run.windows[0].metrics["accuracy"] == pytest.approx(float(value), nan_ok=True)
    assert run.series("val_loss").values[0] == pytest.approx(float(value), nan_ok=True)


def test_early_steps_are_kept_one_by_one_and_later_ones_in_windows(tmp_path: Path) -> None:
    with record(tmp_path / "run") as rec:
        for step in range(1, 181):
            rec.step(loss=1.0 / step, accuracy=step / 180)
    windows = lvmcheck.load(tmp_path / "run").windows
    assert [(w.first_step, w.last_step) for w in windows[:2]] == [(1, 1), (2, 2)]
    assert [(w.first_step, w.last_step) for w in windows[50:]] == [(51, 100), (101, 150), (151, 180)]
    assert windows[51].metrics["accuracy"] == pytest.approx(125.5 / 180)


def test_a_loop_without_epochs_has_its_evaluations(tmp_path: Path) -> None:
    with record(tmp_path / "run") as rec:
        for step in range(1, 31):
            rec.step(loss=1.0 / step)
            if step % 10 == 0:
                rec.log({"val/loss": 2.0 / step}, step=step)
            elif step % 5 == 0:
                rec.log({"tokens": 100 * step})
    run = lvmcheck.load(tmp_path / "run")
    assert [(e.epoch, e.step, e.metrics) for e in run.of(ev.Epoch)] == [
        (1, 10, {"val/loss": 0.2}),
        (2, 20, {"val/loss": 0.1}),
        (3, 30, {"val/loss": 2.0 / 30}),
    ]
    assert run.last_epoch == 3


def test_what_is_logged_may_be_given_as_keywords(tmp_path: Path) -> None:
    with record(tmp_path / "run") as rec:
        rec.log({"tokens": 100}, val_loss=2.0)
    assert lvmcheck.load(tmp_path / "run").of(ev.Log)[0].metrics == {"tokens": 100, "val_loss": 2.0}


def test_steps_that_are_logged_go_forward(tmp_path: Path) -> None:
    with record(tmp_path / "run") as rec:
        rec.log({"loss": 1.0}, step=10)
        with pytest.raises(InputError, match="at least 10"):
            rec.log({"loss": 0.9}, step=9)


def test_a_role_is_declared(tmp_path: Path) -> None:
    with record(tmp_path / "run") as rec:
        rec.declare(roles={"score": {"direction": "higher", "low": 0.0}})
        rec.epoch(1, score=3.0)
    assert lvmcheck.load(tmp_path / "run").of(ev.Declare)[0].roles == {"score": {"direction": "higher", "low": 0.0}}


# -- continued ---------------------------------------------------------------------------------------------------------
def part(folder: Path, first: int, last: int, start_step: int | None = None, **config: Any) -> None:
    """Steps ``first`` to ``last`` of a loop with ten steps an epoch, counted from 0."""
    with record(folder, config={"lr": 0.1, **config}, seed=1, resume="auto", start_step=start_step) as rec:
        for step in range(first, last + 1):
            rec.step(loss=1.0 / step)
            if step % 10 == 0:
                rec.epoch(step // 10 - 1, val_loss=1.0 / step)


def test_a_requeued_job_continues_its_run(tmp_path: Path) -> None:
    part(tmp_path / "run", 1, 25)
    part(tmp_path / "run", 21, 40, start_step=20)
    run = lvmcheck.load(tmp_path / "run")
    assert [event.epoch for event in run.of(ev.Epoch)] == [1, 2, 3, 4]
    assert [step for w in run.windows for step in range(w.first_step, w.last_step + 1)] == list(range(1, 41))
    assert [event.resumed_at_step for event in run.of(ev.Begin)] == [None, 20]
    assert (tmp_path / "run" / "events.jsonl.1").exists(), "what was recorded after the checkpoint is kept beside it"
    assert run.finished


def test_a_run_that_was_killed_inside_a_line_continues(tmp_path: Path) -> None:
    part(tmp_path / "run", 1, 20)
    (tmp_path / "run" / "done.json").unlink()
    with (tmp_path / "run" / "events.jsonl").open("ab") as file:
        file.write(b'{"event":"window","epo')
    part(tmp_path / "run", 21, 30)
    assert lvmcheck.load(tmp_path / "run").step == 30


@pytest.mark.parametrize(("change", "key"), [({"lr": 0.2}, "config.lr"), ({"extra": 1}, "config.extra")])
def test_a_run_is_not_continued_with_another_config(tmp_path: Path, change: dict[str, Any], key: str) -> None:
    part(tmp_path / "run", 1, 20)
    with pytest.raises(InputError) as caught:
        part(tmp_path / "run", 21, 30, **change)
    assert caught.value.key == key


def test_more_steps_than_are_recorded_cannot_be_kept(tmp_path: Path) -> None:
    part(tmp_path / "run", 1, 20)
    with pytest.raises(InputError, match="at most 20"):
        part(tmp_path / "run", 51, 60, start_step=50)
    assert lvmcheck.load(tmp_path / "run").step == 20


OTHER = """
import sys
from lvmcheck import record
from lvmcheck.errors import InputError
try:
    record(sys.argv[1], resume="auto")
except InputError as problem:
    print(problem.problem)
"""


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    with record(tmp_path / "run") as rec:
        rec.step(loss=1.0)
        done = subprocess.run(
            [sys.executable, "-c", OTHER, str(tmp_path / "run")], capture_output=True, text=True, check=True
        )
        rec.step(loss=0.5)
    assert "another process" in done.stdout
    assert lvmcheck.load(tmp_path / "run").step == 2


# -- ranks -------------------------------------------------------------------------------------------------------------
RANKED = """
import sys
import lvmcheck
with lvmcheck.record(sys.argv[1]) as rec:
    rec.model(kind="net", parameters=3)
    for step in range(4):
        rec.step(loss=1.0, accuracy=0.5)
        rec.probe("norm", {"a": 1.0})
    rec.epoch(0, val_loss=0.5)
print(type(rec).__name__, rec.steps, rec.epochs, rec.stop)
"""


@pytest.mark.parametrize("name", ["RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"])
def test_only_rank_0_writes(tmp_path: Path, name: str) -> None:
    for rank, kind in (("1", SilentRecorder), ("0", lvmcheck.Recorder)):
        done = subprocess.run(
            [sys.executable, "-c", RANKED, str(tmp_path / "run")],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": "/usr/bin", "PYTHONPATH": str(Path(__file__).parents[2]), name: rank},
        )
        assert done.stdout.split() == [kind.__name__, "4", "1", "False"], done.stderr
        assert (tmp_path / "run").exists() is (rank == "0")
    assert len(lvmcheck.load(tmp_path / "run").of(ev.Epoch)) == 1
