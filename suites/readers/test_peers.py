"""Runs that the libraries themselves wrote, each in a process of its own; skipped where a library is not installed."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import evaluate
from lvmcheck.errors import InputError
from lvmcheck.readers import detect, open_run
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

PEERS = Path(__file__).parent / "peers"
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("default")  # what the libraries warn of while they are imported


def needs(*names: str) -> pytest.MarkDecorator:
    gone = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(gone), reason=f"not installed: {', '.join(gone)}; pip install -e .[peers]")


def write(peer: str, *arguments: object, code: int = 0) -> None:
    """Let a library write its files."""
    done = subprocess.run(
        [sys.executable, PEERS / f"{peer}_writer.py", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == code, done.stderr[-2000:]


def notes(run: Run) -> str:
    return "\n".join(note.text for note in run.of(ev.Note))


def failed(run: Run) -> set[str]:
    return {verdict.check for verdict in evaluate(run) if verdict.status is Status.FAILED}


# -- TensorBoard -------------------------------------------------------------------------------------------------------
@needs("tensorboard", "torch")
@pytest.mark.parametrize("how", ["epochs", "stated"])
def test_tensorboard_by_epoch(tmp_path: Path, how: str) -> None:
    write("tensorboard", tmp_path, how)
    assert detect(tmp_path) == "tensorboard"
    run = open_run(tmp_path)
    assert run.series("val_cosine").epochs.tolist() == [1, 2, 3, 4, 5]
    assert run.series("val_cosine").at(5) == pytest.approx(0.5)
    assert math.isnan(run.series("val_loss").at(4) or 0.0)
    assert "finite" in failed(run)  # the NaN of epoch 4


@needs("tensorboard", "torch")
def test_tensorboard_by_step(tmp_path: Path) -> None:
    write("tensorboard", tmp_path, "steps")
    run = open_run(tmp_path)
    assert len(run.windows) == 500
    assert run.windows[-1].last_step == 500
    assert run.windows[-1].lr == pytest.approx(0.1)
    assert [event.step for event in run.of(ev.Epoch)] == [100, 200, 300, 400, 500]
    assert "5 evaluations, not one a whole epoch" in notes(run)
    mapped = open_run(tmp_path, columns="epoch=step,cosine=validation/cosine")
    assert mapped.series("cosine").epochs.tolist() == [100, 200, 300, 400, 500]


@needs("tensorboard", "torch")
def test_tensorboard_keeps_every_scalar(tmp_path: Path) -> None:
    """Its own default is a random sample of 10,000, in which no monotony can be judged."""
    write("tensorboard", tmp_path, "many")
    run = open_run(tmp_path)
    assert len(run.windows) == 20_000
    assert [window.last_step for window in run.windows] == list(range(1, 20_001))


@needs("tensorboard", "torch")
def test_tensorboard_torn_damaged_and_several(tmp_path: Path) -> None:
    write("tensorboard", tmp_path / "a", "epochs")
    (file,) = (tmp_path / "a").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    assert "unfinished record" in notes(open_run(tmp_path / "a"))
    file.write_bytes(whole[:200] + bytes([whole[200] ^ 255]) + whole[201:])
    with pytest.raises(InputError, match=r"checksum|cannot be read|expected"):
        open_run(tmp_path / "a")
    huge = (2**40).to_bytes(8, "little")
    from lvmcheck.readers._records import masked_crc32c

    file.write_bytes(whole + huge + masked_crc32c(huge).to_bytes(4, "little"))
    with pytest.raises(InputError, match="expected records of at most"):
        open_run(tmp_path / "a")
    file.write_bytes(whole)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / file.name).write_bytes(whole)
    with pytest.raises(InputError, match="Name one: --run a"):
        open_run(tmp_path)
    assert open_run(tmp_path, run="b").last_epoch == 5


# -- W&B ---------------------------------------------------------------------------------------------------------------
@needs("wandb")
def test_wandb_offline(tmp_path: Path) -> None:
    write("wandb", tmp_path, 0)
    assert detect(tmp_path) == "wandb"
    run = open_run(tmp_path)
    assert run.config["loss"] == {"mse": 1.0}
    assert run.planned_epochs == 20
    assert run.series("val_loss").values.tolist() == [2.0 / epoch for epoch in range(1, 21)]
    assert math.isnan(run.series("train_loss").at(7) or 0.0)
    assert "name" in notes(run)
    assert run.finished
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    raw = bytearray(log.read_bytes())
    log.write_bytes(raw[:-9])
    cut = open_run(log)
    assert not cut.finished
    assert len(cut.of(ev.Epoch)) == 20
    raw[60] ^= 255
    log.write_bytes(raw)
    with pytest.raises(InputError, match="checksum is wrong"):
        open_run(log)


@needs("wandb")
def test_wandb_of_a_run_that_failed(tmp_path: Path) -> None:
    write("wandb", tmp_path, 3, code=3)
    run = open_run(tmp_path)
    assert run.done is not None
    assert run.done["status"] == "failed"


# -- MLflow ------------------------------------------------------------------------------------------------------------
@needs("mlflow")
def test_mlflow_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    write("mlflow", path, 2)
    assert detect(path) == detect(tmp_path) == "mlflow"
    with pytest.raises(InputError, match=r"expected one run, got 2: .*run_0.*Name one: --run ID"):
        open_run(path)
    run = open_run(path, run="run_1")
    assert dict(run.config) == {"epochs": 4, "lr": 0.001, "kind": "amn"}
    assert run.series("train_loss").values.tolist() == [1.0, 0.5, pytest.approx(1 / 3), 0.25]
    assert math.isnan(run.series("val_loss").at(3) or 0.0)  # the store keeps it as 0
    assert run.series("val_cosine").at(4) == math.inf  # the store keeps it as the largest float
    assert "finite" in failed(run)


# -- Hugging Face Trainer ----------------------------------------------------------------------------------------------
@needs("transformers", "accelerate", "torch")
@pytest.mark.parametrize(("how", "ends"), [("epoch", [4, 8, 12]), ("steps", [3, 6, 9, 12])])
def test_hf_trainer_state(tmp_path: Path, how: str, ends: list[int]) -> None:
    write("hf", tmp_path, how)
    assert detect(tmp_path) == detect(tmp_path / "trainer_state.json") == "hf_trainer_state"
    run = open_run(tmp_path)
    assert [event.step for event in run.of(ev.Epoch)] == ends
    assert [(window.first_step, window.last_step) for window in run.windows] == [(i, i + 1) for i in range(1, 12, 2)]
    assert all(window.grad_norm_max and window.lr is not None for window in run.windows)
    assert run.metric_names == ("val_loss",)
    assert {event.name for event in run.of(ev.Evaluation)} == {"train_summary", "after_training"}
    assert run.finished
    earlier = open_run(tmp_path / "checkpoint-8")
    assert not earlier.finished
    assert "step 8 of 12" in earlier.stopped_where()


# -- Lightning ---------------------------------------------------------------------------------------------------------
@needs("lightning", "torch")
def test_lightning_csv(tmp_path: Path) -> None:
    write("lightning", tmp_path, "csv")
    for path in (tmp_path / "logs", tmp_path / "logs" / "version_0", tmp_path / "logs" / "version_0" / "metrics.csv"):
        assert detect(path) == "lightning_csv"
        run = open_run(path)
        assert run.series("val_loss").epochs.tolist() == run.series("train_loss").epochs.tolist() == [1, 2, 3]
        assert [(window.epoch, window.last_step) for window in run.windows][:2] == [(1, 1), (1, 3)]
        assert len(run.probes("lr_sgd")) > 3
        assert "counted from 0" in notes(run)


@needs("lightning", "tensorboard", "torch")
def test_lightning_in_tensorboard_agrees_with_its_csv(tmp_path: Path) -> None:
    for logger in ("csv", "tensorboard"):
        write("lightning", tmp_path / logger, logger)
    table, events = open_run(tmp_path / "csv" / "logs"), open_run(tmp_path / "tensorboard" / "logs")
    for metric in ("val_loss", "train_loss"):
        assert table.series(metric).values.tolist() == pytest.approx(events.series(metric).values.tolist(), rel=1e-6)
    assert [w.last_step for w in table.windows] == [w.last_step for w in events.windows]


# -- without the libraries ---------------------------------------------------------------------------------------------
def test_a_missing_library_is_one_clear_error() -> None:
    from lvmcheck.extras import need

    with pytest.raises(InputError) as caught:
        need("lvmcheck_no_such_package.events", extra="readers", purpose="reading event files")
    assert str(caught.value) == (
        "package 'lvmcheck_no_such_package': reading event files needs it and it is not installed. "
        'pip install -e ".[readers]" adds it.'
    )
