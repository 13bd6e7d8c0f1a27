"""Shapes of files that training tools write, each small: which rows become epochs, windows and metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lvmcheck
from lvmcheck.errors import InputError
from lvmcheck.readers import open_run
from lvmcheck.run import events as ev


def lines(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_bare_list_of_epochs(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text(json.dumps([{"epoch": e, "loss": 1 / (e + 1), "note": "x"} for e in range(3)]))
    assert open_run(path).series("loss").epochs.tolist() == [1, 2, 3]


def test_a_list_of_rows_without_epochs_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text(json.dumps([{"val_loss": 1.0}, {"val_loss": 0.5}]))
    assert open_run(path).last_epoch == 2


def test_a_keras_history_of_one_list_a_metric(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text(json.dumps({"loss": [1.0, 0.5], "val_loss": [1.1, 0.6]}))
    assert open_run(path).series("val_loss").values.tolist() == [1.1, 0.6]
    path.write_text(json.dumps({"loss": [1.0, 0.5], "val_loss": [1.1]}))
    assert open_run(path).metric_names == ("loss",)
    assert "2_values; left out" in open_run(path).of(ev.Note)[0].text
    assert open_run(path, run="1_values").metric_names == ("val_loss",)


def test_step_rows_without_an_epoch_belong_to_the_next_that_is_stated(tmp_path: Path) -> None:
    rows = [{"step": s, "train_loss": 1 / s} for s in range(1, 5)]
    path = lines(
        tmp_path / "log.jsonl",
        *rows[:2],
        {"step": 2, "epoch": 0, "val_loss": 1.0},
        *rows[2:],
        {"step": 4, "epoch": 1, "val_loss": 0.5},
    )
    run = open_run(path)
    assert [(w.epoch, w.last_step) for w in run.windows] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert run.series("val_loss").values.tolist() == [1.0, 0.5]


@pytest.mark.parametrize("axis", ["iteration", "iter", "global_step", "current_steps", "_step", "trainer/global_step"])
def test_steps_go_by_the_names_of_other_loggers(tmp_path: Path, axis: str) -> None:
    path = lines(tmp_path / "metrics.json", *({axis: 20 * i, "total_loss": 1.0 / i, "time": 3.0} for i in range(1, 9)))
    run = open_run(path)
    assert [w.last_step for w in run.windows] == [20 * i for i in range(1, 9)]
    assert run.of(ev.Probe) == (), "a time is no metric"


def test_two_runs_in_one_file_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n1,3\n2,2\n1,9\n2,8\n3,7\n")
    with pytest.raises(InputError, match=r"holds 2 runs.*--run 2"):
        open_run(path)
    assert open_run(path, run="2").series("loss").values.tolist() == [9.0, 8.0, 7.0]
    assert open_run(path, run="1").series("loss").values.tolist() == [3.0, 2.0]
    with pytest.raises(InputError, match="expected 1 to 2"):
        open_run(path, run="3")


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    with pytest.raises(InputError, match="git lfs pull"):
        open_run(path)


def test_several_evaluation_sets_at_one_step_are_one_evaluation(tmp_path: Path) -> None:
    log: list[dict[str, object]] = []
    for step in (10, 20):
        log.append({"epoch": step / 20, "step": step, "loss": 1.0 / step})
        log += [{"epoch": step / 20, "step": step, f"eval_{name}_loss": 2.0 / step} for name in ("wiki", "code")]
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"log_history": log, "global_step": 20, "max_steps": 20}))
    run = open_run(path)
    assert run.series("val_wiki_loss").values.tolist() == [0.2, 0.1]
    assert run.series("val_code_loss").values.tolist() == [0.2, 0.1]


def test_an_evaluation_repeated_after_training_is_one_of_its_own(tmp_path: Path) -> None:
    log = [{"epoch": 1.0, "step": 10, "loss": 1.0}, *[{"epoch": 1.0, "step": 10, "eval_loss": 0.5}] * 2]
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"log_history": log, "global_step": 10, "max_steps": 10}))
    assert [event.name for event in open_run(path).of(ev.Evaluation)] == ["after_training"]


@pytest.mark.parametrize(
    ("rows", "stop", "status"),
    [
        ([], False, "open"),
        ([], True, "stopped"),
        ([{"train_runtime": 1.0, "step": 12, "epoch": 3.0}], False, "stopped"),
    ],
)
def test_a_trainer_that_its_own_callback_stopped_has_ended(
    tmp_path: Path, rows: list[dict[str, object]], stop: bool, status: str
) -> None:
    log = [{"epoch": e, "step": 4 * e, "eval_loss": 1.0 / e} for e in (1, 2, 3)]
    callbacks = {"EarlyStoppingCallback": {}, "TrainerControl": {"args": {"should_training_stop": stop}}}
    body = {"log_history": [*log, *rows], "global_step": 12, "max_steps": 36, "stateful_callbacks": callbacks}
    (tmp_path / "trainer_state.json").write_text(json.dumps(body))
    done = open_run(tmp_path).done
    assert done is not None
    assert done["status"] == status
    assert ("EarlyStoppingCallback" in str(done["reason"])) == (status == "stopped")


def test_lightnings_step_and_epoch_columns_are_one_loss(tmp_path: Path) -> None:
    folder = tmp_path / "lightning_logs" / "version_0"
    folder.mkdir(parents=True)
    rows = "".join(f"{e},{32 * e + 17},,{1 / (e + 1)}\n{e},{32 * e + 31},{1 / (e + 1)},\n" for e in range(4))
    (folder / "metrics.csv").write_text("epoch,step,train_loss_epoch,train_loss_step\n" + rows)
    run = open_run(tmp_path)
    assert run.metric_names == ("train_loss",)
    assert len(run.windows) == 4


def test_a_run_of_mlflows_file_store(tmp_path: Path) -> None:
    run = tmp_path / "mlruns" / "0" / "aa11"
    (run / "metrics" / "val").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: aa11\n")
    for name in ("train_loss", "val/loss"):
        (run / "metrics" / name).write_text("".join(f"{1000 + e} {1 / (e + 1)} {e}\n" for e in range(3)))
    for place in (tmp_path, tmp_path / "mlruns", run.parent, run):
        assert open_run(place).series("val_loss").values.tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    (run / "metrics" / "train_loss").write_text("1000 oops 0\n")
    with pytest.raises(InputError, match="expected numbers") as caught:
        open_run(run)
    assert caught.value.line == 1


def test_a_run_directory_takes_a_column_map(tmp_path: Path) -> None:
    with lvmcheck.record(tmp_path / "run") as rec:
        rec.step(loss=1.0)
        rec.epoch(1, score=0.5)
    assert open_run(tmp_path / "run", columns="val_accuracy=score").metric_names == ("val_accuracy",)
    with pytest.raises(InputError, match="no column 'scor'"):
        open_run(tmp_path / "run", columns="val_accuracy=scor")
