"""Callbacks against the trainers themselves, each in a process of its own; skipped where one is not installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.commands._remarks import ended_early
from lvmcheck.readers import open_run
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run
from suites.readers.test_peers import needs, notes, write


def steps(run: Run) -> list[tuple[int, int, int]]:
    return [(window.epoch, window.first_step, window.last_step) for window in run.windows]


def means(run: Run) -> list[float]:
    found = run.curves.epoch_means
    return [] if found is None else [float(value) for value in found.values]


def test_a_missing_trainer_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    for name in ("transformers", "accelerate.tracking", "lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("huggingface", "accelerate"):
        monkeypatch.delitem(sys.modules, f"lvmcheck.integrations.{name}", raising=False)
        with pytest.raises(lvmcheck.InputError, match=r"pip install -e .*peers"):
            importlib.import_module(f"lvmcheck.integrations.{name}")


@needs("transformers", "accelerate", "torch")
@pytest.mark.parametrize(("how", "ends"), [("epoch", [4, 8, 12]), ("steps", [2, 6, 8, 12])])
def test_the_hugging_face_callback_agrees_with_the_trainer_state(tmp_path: Path, how: str, ends: list[int]) -> None:
    write("hf", tmp_path / "out", how, tmp_path / "run")
    run, state = lvmcheck.load(tmp_path / "run"), open_run(tmp_path / "out")
    assert run.finished
    assert run.seed == 42
    assert run.step == 12
    assert run.series("val_loss").values.tolist() == state.series("val_loss").values.tolist()
    assert [event.step for event in run.of(ev.Epoch)] == ends  # steps that were logged, every second one
    total = sum(window.loss_mean * (window.last_step - window.first_step + 1) for window in run.windows)
    wanted = sum(window.loss_mean * 2 for window in state.windows)
    assert total == pytest.approx(wanted)
    assert "mean loss of every logging interval" in notes(run)
    assert "logging_nan_inf_filter" in notes(run)
    assert run.of(ev.Model)[0].parameters == 5


@needs("lightning", "torch")
def test_the_lightning_callback(tmp_path: Path) -> None:
    write("lightning", tmp_path / "out", "csv", tmp_path / "run")
    run = lvmcheck.load(tmp_path / "run")
    assert run.finished
    assert (run.planned_epochs, run.seed) == (3, 3)
    assert steps(run) == [(1 + i // 4, i + 1, i + 1) for i in range(12)]
    # Lightning's own mean over the epoch is the mean of the steps that were recorded.
    assert means(run) == pytest.approx(run.series("train_loss").values.tolist())
    assert set(run.metric_names) == {"train_loss", "val_loss"}
    assert run.windows[0].lr == pytest.approx(0.1)
    assert not [v for v in lvmcheck.evaluate(run) if v.status in (Status.FAILED, Status.ERROR)]


@needs("lightning", "torch")
def test_accumulated_batches_are_one_step(tmp_path: Path) -> None:
    write("lightning", tmp_path / "out", "csv", tmp_path / "run", 2)
    run = lvmcheck.load(tmp_path / "run")
    assert steps(run) == [(1 + i // 2, i + 1, i + 1) for i in range(6)]
    assert means(run) == pytest.approx(run.series("train_loss").values.tolist())


@needs("accelerate", "torch")
def test_the_accelerate_tracker(tmp_path: Path) -> None:
    write("accelerate", tmp_path / "run")
    run = lvmcheck.load(tmp_path / "run")
    assert run.finished
    assert dict(run.config) == {"epochs": 2, "lr": 0.1}
    assert steps(run) == [(1 + i // 4, i + 1, i + 1) for i in range(8)]
    assert run.series("val_loss").epochs.tolist() == [1, 2]
    assert [probe.values["halting"] for probe in run.probes("log")] == [1.5, 1.5]


@pytest.mark.parametrize(
    ("peer", "before", "after", "rule"),
    [
        pytest.param(
            "hf", ("epoch",), ("early",), "EarlyStoppingCallback", marks=needs("transformers", "accelerate", "torch")
        ),
        pytest.param("lightning", ("csv",), (1, "early"), "EarlyStopping", marks=needs("lightning", "torch")),
    ],
)
def test_the_own_early_stopping_of_a_trainer_is_an_ordinary_end(
    tmp_path: Path, peer: str, before: tuple[Any, ...], after: tuple[Any, ...], rule: str
) -> None:
    write(peer, tmp_path / "out", *before, tmp_path / "run", *after)
    run = lvmcheck.load(tmp_path / "run")
    assert run.finished
    assert run.stated_epochs == 9
    assert run.last_epoch == 3
    assert rule in run.of(ev.Early)[0].reason
    verdict = next(verdict for verdict in lvmcheck.evaluate(run) if verdict.check == "run_completed")
    assert verdict.status is Status.PASSED
    assert rule in str(ended_early(run))


@pytest.mark.parametrize(
    ("peer", "arguments"),
    [
        pytest.param("hf", ("epoch",), marks=needs("transformers", "accelerate", "torch")),
        pytest.param("lightning", ("csv",), marks=needs("lightning", "torch")),
    ],
)
def test_a_request_to_stop_stops_the_trainer(tmp_path: Path, peer: str, arguments: tuple[Any, ...]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stop.json").write_text(json.dumps({"reason": "cosine_floor[val_cosine@1]"}))
    write(peer, tmp_path / "out", *arguments, tmp_path / "run")
    run = lvmcheck.load(tmp_path / "run")
    assert run.done is not None
    assert run.done["status"] == "stopped"
    assert run.done["reason"] == "cosine_floor[val_cosine@1]"
    assert run.step < 12
