"""The end of a Hugging Face Trainer's run, in its state and in tables of its log."""

from __future__ import annotations

import json
from pathlib import Path

from lvmcheck.readers import open_run
from lvmcheck.report.key_figures import last_figures
from lvmcheck.run import events as ev

L = (1.2, 0.9, 0.7, 0.6)
TUNED = [
    {"loss": loss, "learning_rate": 1e-4, "epoch": e, "step": s}
    for loss, e, s in zip(L, (0.8, 1.6, 2.4, 3.2), (5, 10, 15, 20), strict=True)
]


def test_a_finished_trainer_ended_at_its_last_epoch(tmp_path: Path) -> None:
    """Its state is written before the evaluation of its last epoch."""
    log = [{"epoch": float(e), "step": 4 * e, "eval_loss": 1.0 / e} for e in (1, 2)]
    body = {"log_history": log, "epoch": 3.0, "global_step": 12, "max_steps": 12, "num_train_epochs": 3}
    (tmp_path / "trainer_state.json").write_text(json.dumps(body))
    run = open_run(tmp_path)
    assert (run.last_epoch, run.step, run.stated_epochs) == (3, 12, 3)
    assert last_figures(run) == "val loss 0.5000 at epoch 2"


def test_evaluations_within_epochs_are_none(tmp_path: Path) -> None:
    log = [*TUNED[:2], {"eval_loss": 0.8, "epoch": 1.6, "step": 10}, *TUNED[2:]]
    body = {"log_history": log, "epoch": 4.0, "global_step": 25, "max_steps": 25, "num_train_epochs": 4}
    (tmp_path / "trainer_state.json").write_text(json.dumps(body))
    run = open_run(tmp_path)
    assert run.counts_evaluations
    assert run.stated_epochs is None
    assert run.step == 25
    assert last_figures(run) == "val loss 0.8000 at step 10 (epoch 1.6)"


def test_the_end_of_a_trainers_log_is_a_fact_and_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,step,loss,train_loss,train_runtime\n1.5,10,0.9,,\n3.0,20,0.3,,\n3.0,20,,0.6,33.0\n")
    run = open_run(path)
    said = run.evaluation("train_summary")
    assert said is not None
    assert said.metrics["train_loss"] == 0.6
    assert [window.loss_mean for window in run.windows] == [0.9, 0.3]


def test_an_evaluation_made_again_after_training_is_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = ["0.9,1.0,,,", ",1.0,0.8,,", "0.3,2.0,,,", ",2.0,0.5,,", ",2.0,,33.0,0.6", ",2.0,0.5,,"]
    path.write_text("loss,epoch,eval_loss,train_runtime,train_loss\n" + "\n".join(rows) + "\n")
    run = open_run(path)
    assert run.series("val_loss").values.tolist() == [0.8, 0.5]
    assert [event.name for event in run.of(ev.Evaluation)] == ["train_summary", "after_training"]
