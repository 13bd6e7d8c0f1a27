"""Files as people and their tools leave them, one small honest example of each, and what must be read of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lvmcheck.readers import open_run
from lvmcheck.report.key_figures import last_figures

FALL = (1.2, 0.9, 0.7, 0.6)
"""A loss, as every example has it."""


@dataclass(frozen=True)
class Habit:
    """A file, and what must come out: the headline, metrics that are known, and steps of windows."""

    file: str
    text: str
    headline: str
    metrics: Sequence[str] = ()
    windows: Sequence[int] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def table(header: str, *rows: str) -> str:
    return "\n".join((header, *rows)) + "\n"


def rows(header: str, form: str, first: int = 0) -> str:
    """A table of FALL: ``{e}`` counts the rows, ``{l}`` is the loss, ``{a}`` an accuracy."""
    return table(
        header, *(form.format(e=e, l=loss, a=round(1 - loss / 2, 3)) for e, loss in enumerate(FALL, start=first))
    )


def jsonl(*found: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in found)


L = list(FALL)
RISE = [0.4, 0.55, 0.65, 0.7]
TUNED = [
    {"loss": loss, "learning_rate": 1e-4, "epoch": e, "step": s}
    for loss, e, s in zip(L, (0.8, 1.6, 2.4, 3.2), (5, 10, 15, 20), strict=True)
]
SUMMARY = {"train_runtime": 9.0, "train_loss": 0.85, "total_flos": 1e9, "epoch": 3.2, "step": 20}

HABITS: dict[str, Habit] = {
    # tables
    "pandas_index": Habit("h.csv", rows(",loss,val_loss", "{e},{l},{l}"), "val loss 0.6000 at epoch 4"),
    "pandas_index_read_again": Habit(
        "h.csv", rows("Unnamed: 0,epoch,val_loss", "{e},{e},{l}"), "val loss 0.6000 at epoch 4"
    ),
    "trailing_comma": Habit("h.csv", rows("epoch,val_loss,", "{e},{l},", 1), "val loss 0.6000 at epoch 4"),
    "trailing_comma_of_rows": Habit("h.csv", rows("epoch,val_loss", "{e},{l},", 1), "val loss 0.6000 at epoch 4"),
    "trailing_comma_of_header": Habit("h.csv", rows("epoch,val_loss,", "{e},{l}", 1), "val loss 0.6000 at epoch 4"),
    "no_header_but_a_map": Habit(
        "h.csv",
        rows("1,9.9,9.8", "{e},{l},{l}", 2),
        "val loss 0.6000 at epoch 5",
        options={"columns": "epoch=1,train_loss=2,val_loss=3"},
    ),
    "numpy_savetxt": Habit("h.csv", rows("# epoch,val_loss", "{e},{l}", 1), "val loss 0.6000 at epoch 4"),
    "words_by_spaces": Habit(
        "h.csv", rows("epoch  loss   val_loss", "{e}  {l}   {l}", 1), "val loss 0.6000 at epoch 4"
    ),
    "table_of_a_notebook": Habit(
        "h.txt",
        table("Epoch\tTraining Loss\tValidation Loss", "1\tNo log\t0.9", "2\t0.8\t0.6"),
        "val loss 0.6000 at epoch 2",
    ),
    "percent_and_tensors": Habit(
        "h.csv", rows("epoch,val_loss,val_acc", "{e},tensor({l}),{a}%", 1), "val loss 0.6000, val acc 0.7000 at epoch 4"
    ),
    "epochs_with_fractions": Habit(
        "h.csv", rows("epoch,loss", "{e}.5,{l}"), "train loss 0.6000 at step 4 (epoch 3.5)", windows=(1, 2, 3, 4)
    ),
    "title_above": Habit(
        "h.csv", "my model\n" + rows("epoch;loss;val_loss", "{e};{l};{l}", 1), "val loss 0.6000 at epoch 4"
    ),
    "flair": Habit(
        "loss.tsv",
        rows(
            "EPOCH\tTIMESTAMP\tTRAIN_LOSS\tTRAIN_F-SCORE\tDEV_LOSS\tDEV_F-SCORE", "{e}\t11:17:16\t{l}\t\t_\t{l}\t{a}", 1
        ),
        "val loss 0.6000, val f score 0.7000 at epoch 4",
    ),
    "comment_above": Habit(
        "h.csv", "# run of today\n" + rows("epoch,val_loss", "{e},{l}", 1), "val loss 0.6000 at epoch 4"
    ),
    "keras_csv_logger": Habit(
        "training.log",
        rows("epoch,accuracy,loss,lr,val_accuracy,val_loss", "{e},{a},{l},0.01,{a},{l}"),
        "val loss 0.6000, val accuracy 0.7000 at epoch 4",
    ),
    "yolo_padded": Habit(
        "results.csv",
        rows(
            "                  epoch,         train/box_loss,       metrics/mAP50-95(B),           val/box_loss",
            "{e:>23},{l:>23},{a:>23},{l:>23}",
        ),
        "metrics map50 95(b) 0.7000 at epoch 4",
    ),
    "fastai": Habit(
        "history.csv",
        rows("epoch,train_loss,valid_loss,accuracy,time", "{e},{l},{l},{a},00:12"),
        "val loss 0.6000 at epoch 4",
    ),
    "ignite": Habit(
        "log.csv",
        rows("epoch,iteration,training/loss,validation/accuracy", "{e},{e}00,{l},{a}", 1),
        "val accuracy 0.7000 at epoch 4",
    ),
    "phase_column": Habit(
        "log.csv",
        table(
            "epoch,phase,loss,acc",
            *(f"{e},{p},{loss},{0.1 * e}" for e, loss in enumerate(L, 1) for p in ("train", "val")),
        ),
        "val loss 0.6000, val acc 0.4000 at epoch 4",
        ("train_loss", "val_acc"),
    ),
    "mlflow_page": Habit(
        "m.csv",
        table(
            '"Run","Run ID","metric","step","timestamp","value"',
            *(f'"swift-1","ab1","{m}","{s}","17","{v}"' for m in ("loss", "val_loss") for s, v in enumerate(L, 1)),
        ),
        "val loss 0.6000 at epoch 4",
    ),
    "tensorboard_page": Habit(
        "run-fit_a-tag-epoch_loss.csv", rows("Wall time,Step,Value", "17.{e},{e},{l}"), "epoch loss 0.6000 at epoch 4"
    ),
    "wandb_page": Habit(
        "w.csv",
        rows("_step,_runtime,train/loss,train/epoch,_timestamp,train/global_step", "{e},3.5,{l},{e}.5,17,{e}00", 1),
        "train loss 0.6000 at step 400 (epoch 4.5)",
        windows=(100, 200, 300, 400),
    ),
    "wandb_chart": Habit(
        "w.csv",
        rows('"Step","swift-1 - val_loss","swift-1 - val_loss__MIN","swift-1 - val_loss__MAX"', "{e},{l},{l},{l}"),
        "val loss 0.6000 at epoch 4",
    ),
    "federated_rounds": Habit(
        "f.csv",
        table(
            "round,client_id,val_accuracy,loss",
            *(f"{r},{c},{a + c / 10},{1 - a}" for r, a in enumerate(RISE, 1) for c in (0, 1, 2)),
        ),
        "val accuracy 0.8000 at epoch 4",
    ),
    "batches_of_epochs": Habit(
        "b.csv",
        table("epoch,batch,loss", *(f"{e},{b},{loss}" for e, loss in enumerate(L, 1) for b in (0, 50))),
        "train loss 0.6000 at epoch 4",
        windows=(1, 51, 52, 102, 103, 153, 154, 204),
    ),
    "sb3_progress": Habit(
        "progress.csv",
        rows(
            "time/fps,time/iterations,time/total_timesteps,rollout/ep_rew_mean,train/loss", "900,{e},{e}000,{a},{l}", 1
        ),
        "rollout ep rew mean 0.7000 at step 4,000",
        windows=(1000, 2000, 3000, 4000),
    ),
    "sb3_monitor": Habit(
        "0.monitor.csv",
        '#{"t_start": 17.5, "env_id": "CartPole-v1"}\n' + rows("r,l,t", "{e},20,{e}.5", 1),
        "episode reward 4 at step 80",
    ),
    "rllib_progress": Habit(
        "progress.csv",
        rows(
            "episode_reward_mean,training_iteration,timesteps_total,time_this_iter_s,done",
            "{a},{e},{e}000,3.1,False",
            1,
        ),
        "episode reward mean 0.7000 at epoch 4",
    ),
    "cleanrl": Habit(
        "c.csv",
        rows("global_step,episodic_return,losses/value_loss", "{e}00,{a},{l}", 1),
        "episodic return 0.7000 at step 400",
    ),
    "openai_spinup": Habit(
        "progress.txt",
        rows("Epoch\tAverageEpRet\tStdEpRet\tTotalEnvInteracts", "{e}\t{a}\t0.1\t{e}000"),
        "average ep ret 0.7000 at epoch 4",
    ),
    "split_last_by_step": Habit(
        "s.csv",
        table("step,Loss/train,Loss/test", *(f"{s}0,{loss},{loss if s % 2 else ''}" for s, loss in enumerate(L, 1))),
        "test loss 0.7000 at step 30",
        windows=(10, 20, 30, 40),
    ),
    # JSON
    "plural_lists": Habit(
        "h.json",
        json.dumps({"train_losses": L, "val_losses": L, "val_accs": RISE, "lrs": [0.1] * 4}),
        "val loss 0.6000, val acc 0.7000 at epoch 4",
        ("val_acc", "lr"),
    ),
    "lists_below_splits": Habit(
        "h.json",
        json.dumps({"train": {"loss": L}, "val": {"loss": L, "acc": RISE}}),
        "val loss 0.6000, val acc 0.7000 at epoch 4",
    ),
    "two_phases": Habit(
        "h.json",
        json.dumps({"val_loss": L, "fine_tune_val_loss": L[:2], "test_loss": 0.5}),
        "val loss 0.6000 at epoch 4",
    ),
    "two_phases_the_other": Habit(
        "h.json",
        json.dumps({"val_loss": L, "fine_tune_val_loss": [0.5, 0.4], "fine_tune_loss": [0.5, 0.4]}),
        "val loss 0.4000 at epoch 2",
        options={"run": "fine_tune"},
    ),
    "two_phases_by_their_end": Habit(
        "h.json",
        json.dumps({"loss": L, "val_loss": L, "loss_phase2": [0.5, 0.4], "val_loss_phase2": [0.5, 0.4]}),
        "val loss 0.6000 at epoch 4",
    ),
    "several_runs": Habit(
        "h.json",
        json.dumps({"small": {"time": 3.0, "losses": L[:2]}, "large": {"time": 9.0, "losses": L}}),
        "loss 0.6000 at epoch 4",
    ),
    "steps_and_epochs": Habit(
        "h.json",
        json.dumps({"train_losses": [1.0 - i / 10 for i in range(8)], "val_losses": L}),
        "val loss 0.6000 at step 8",
        windows=(1, 2, 3, 4, 5, 6, 7, 8),
    ),
    "split_at_the_end": Habit(
        "h.json", json.dumps({"loss": [*L, *L], "loss_val": L}), "val loss 0.6000 at step 8", windows=range(1, 9)
    ),
    "evaluated_before": Habit(
        "h.json", json.dumps({"train_loss": L, "val_loss": [2.0, *L]}), "val loss 0.6000 at epoch 4"
    ),
    "xgboost": Habit(
        "evals_result.json", json.dumps({"train": {"rmse": L}, "eval": {"rmse": L}}), "val rmse 0.6000 at epoch 4"
    ),
    "lightgbm": Habit(
        "evals.json",
        json.dumps({"training": {"binary_logloss": L}, "valid_1": {"binary_logloss": L}}),
        "val 1 binary logloss 0.6000 at epoch 4",
    ),
    "sklearn": Habit(
        "curve.json", json.dumps({"loss_curve_": L, "validation_scores_": RISE}), "val score 0.7000 at epoch 4"
    ),
    "flower": Habit(
        "history.json",
        json.dumps(
            {
                "losses_distributed": [[r, loss] for r, loss in enumerate(L, 1)],
                "metrics_centralized": {"accuracy": [[r, a] for r, a in enumerate(RISE, 1)]},
            }
        ),
        "metrics centralized accuracy 0.7000 at epoch 4",
    ),
    "trainer_rows": Habit(
        "log_history.json",
        json.dumps([*TUNED, SUMMARY]),
        "train loss 0.6000 at step 20 (epoch 3.2)",
        windows=(5, 10, 15, 20),
    ),
    "rounds": Habit(
        "h.json",
        json.dumps([{"round": r, "val_accuracy": a} for r, a in enumerate(RISE, 1)]),
        "val accuracy 0.7000 at epoch 4",
    ),
    "rows_below_splits": Habit(
        "h.json",
        json.dumps([{"epoch": e, "val": {"loss": loss}} for e, loss in enumerate(L, 1)]),
        "val loss 0.6000 at epoch 4",
    ),
    "epochs_by_key": Habit(
        "h.json",
        json.dumps({f"epoch_{e}": {"val_loss": loss} for e, loss in enumerate(L, 1)}),
        "val loss 0.6000 at epoch 4",
    ),
    "frame_as_json": Habit(
        "h.json", json.dumps({"val_loss": {str(i): loss for i, loss in enumerate(L)}}), "val loss 0.6000 at epoch 4"
    ),
    "rows_under_another_key": Habit(
        "h.json",
        json.dumps({"config": {"lr": 0.1}, "results": [{"epoch": e, "val_loss": loss} for e, loss in enumerate(L, 1)]}),
        "val loss 0.6000 at epoch 4",
    ),
    # lines of JSON
    "detr": Habit(
        "log.txt",
        jsonl(
            *(
                {
                    "train_lr": 1e-4,
                    "train_loss": loss,
                    "test_loss": loss,
                    "test_coco_eval_bbox": [0.1, 0.2],
                    "epoch": e,
                    "n_parameters": 41,
                }
                for e, loss in enumerate(L)
            )
        ),
        "test loss 0.6000 at epoch 4",
    ),
    "mmdet": Habit(
        "20240101.log.json",
        jsonl(
            {"env_info": "x", "seed": 0},
            *(
                row
                for e in (1, 2)
                for row in (
                    {"mode": "train", "epoch": e, "iter": 50, "lr": 0.1, "loss": L[2 * e - 2]},
                    {"mode": "train", "epoch": e, "iter": 100, "lr": 0.1, "loss": L[2 * e - 1]},
                    {"mode": "val", "epoch": e, "iter": 10, "lr": 0.1, "bbox_mAP": 0.2 * e},
                )
            ),
        ),
        "val bbox map 0.4000 at epoch 2",
        windows=(50, 100, 150, 200),
    ),
    "detectron2": Habit(
        "metrics.json",
        jsonl(
            *(
                {"iteration": 20 * i, "total_loss": loss, "lr": 0.1, "eta_seconds": 3.0, "time": 0.1}
                for i, loss in enumerate(L, 1)
            )
        ),
        "train loss 0.6000 at step 80",
        windows=(20, 40, 60, 80),
    ),
    "rllib_result": Habit(
        "result.json",
        jsonl(
            *(
                {
                    "episode_reward_mean": a,
                    "training_iteration": i,
                    "timesteps_total": 1000 * i,
                    "config": {"lr": 0.1},
                    "info": {"learner": {"default_policy": {"learner_stats": {"entropy": 1.0}}}},
                    "hist_stats": {"x": [1, 2]},
                }
                for i, a in enumerate(RISE, 1)
            )
        ),
        "episode reward mean 0.7000 at epoch 4",
    ),
    "accelerate_tracker": Habit(
        "tracker.jsonl",
        jsonl(*({"train_loss": loss, "step": 10 * i, "epoch": i} for i, loss in enumerate(L, 1))),
        "train loss 0.6000 at epoch 4",
    ),
}


@pytest.mark.parametrize("name", HABITS)
def test_a_file_is_read_as_people_leave_it(tmp_path: Path, name: str) -> None:
    habit = HABITS[name]
    path = tmp_path / habit.file
    path.write_text(habit.text)
    run = open_run(path, **habit.options)
    assert last_figures(run) == habit.headline
    assert set(habit.metrics) <= set(run.metric_names)
    assert [window.last_step for window in run.windows] == list(habit.windows)
