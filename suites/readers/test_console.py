"""What loops print: the figures of its lines, by epoch or by step, with the split that a line is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvmcheck.errors import InputError
from lvmcheck.readers import detect, open_run
from lvmcheck.report.key_figures import last_figures

FALL = tuple(zip((1.2, 0.9, 0.7, 0.6), (0.4, 0.55, 0.65, 0.7), strict=True))
DAY = "2021-01-01 10:00:00"


def lines(form: str, first: int = 1) -> str:
    """The form for each of four losses ``{l}`` and accuracies ``{a}``, counted by ``{e}``."""
    return "".join(form.format(e=e, s=250 * e, n=e / 2, l=loss, a=a) + "\n" for e, (loss, a) in enumerate(FALL, first))


PRINTED: dict[str, tuple[str, str, tuple[str, ...], int]] = {
    "nanogpt": (
        "device: cpu, 10.65M parameters\n"
        + lines("step {s}: train loss {l}, val loss {l}\niter {s}: loss {l}, time 31.2ms, mfu 3.10%", 0),
        "val loss 0.6000 at step 750",
        ("train_loss", "val_loss"),
        0,
    ),
    "keras": (
        lines("Epoch {e}/4\n100/100 \x1b[1m3s\x1b[0m 30ms/step - accuracy: {a} - loss: {l} - val_loss: {l}"),
        "val loss 0.6000 at epoch 4",
        ("accuracy", "loss", "val_loss"),
        0,
    ),
    "keras_written_over": (
        lines("Epoch {e}/4\n 50/100 [=>..] - ETA: 3s - loss: 9.9\r100/100 [====] - 3s - loss: {l} - val_loss: {l}"),
        "val loss 0.6000 at epoch 4",
        ("loss", "val_loss"),
        0,
    ),
    "brackets_and_percent": (
        lines("Epoch [{e}/4], Loss: {l}, Val Loss: {l}, Val Acc: {a}%"),
        "val loss 0.6000, val acc 0.7000 at epoch 4",
        ("loss", "val_loss", "val_acc"),
        0,
    ),
    "a_line_a_split": (
        lines("Epoch {e}/3\n----------\ntrain Loss: {l} Acc: {a}\nval Loss: {l} Acc: {a}\n", 0),
        "val loss 0.6000, val acc 0.7000 at epoch 4",
        ("train_loss", "train_acc", "val_loss", "val_acc"),
        0,
    ),
    "trainer_of_hugging_face": (
        lines("{{'loss': {l}, 'grad_norm': 1.5, 'learning_rate': 1.2e-05, 'epoch': {n}}}")
        + "{'eval_loss': 0.8, 'eval_runtime': 3.1, 'epoch': 2.0}\n"
        + "{'train_runtime': 3.0, 'train_loss': 0.9, 'epoch': 2.0}\n",
        "val loss 0.8000 at epoch 2",
        ("val_loss",),
        4,
    ),
    "fairseq": (
        lines(
            DAY
            + " | INFO | train | epoch {e:03d} | loss {l} | ppl 9.1 | num_updates {s} | lr 0.1 | gnorm 1.2\n"
            + DAY
            + " | INFO | valid | epoch {e:03d} | valid on 'valid' subset | loss {l} | num_updates {s}"
        ),
        "val loss 0.6000 at epoch 4",
        ("train_loss", "train_ppl", "lr", "val_loss"),
        0,
    ),
    "opennmt": (
        lines("[" + DAY + ",000 INFO] Step {s}/ 1000; acc:  {a}; ppl: 24.5; xent: {l}; lr: 0.1; 400/400 tok/s; 20 sec"),
        "acc 0.7000, ppl 24.5 at step 1,000",
        (),
        0,
    ),
    "espnet": (
        lines("INFO: {e}epoch results: [train] iter_time=0.1, loss={l}, acc={a}, [valid] loss={l}, acc={a}"),
        "val loss 0.6000, val acc 0.7000 at epoch 4",
        ("train_loss", "train_acc", "val_loss", "val_acc"),
        0,
    ),
    "several_lines_an_epoch": (
        lines("Train Epoch: {e} [640/60000 (1%)]\tLoss: {l}\nTrain Epoch: {e} [1280/60000 (2%)]\tLoss: {l}")
        + "Test set: Average loss: 0.05, Accuracy: 9800/10000 (98%)\n",
        "test average loss 0.0500, test accuracy 98 at epoch 4",
        ("test_average_loss", "test_accuracy"),
        8,
    ),
    "mmengine": (
        lines(
            DAY + " - INFO - Epoch(train) [{e}][100/500]  lr: 1.0e-02  eta: 1:00:00  loss: {l}\n"
            "INFO - Epoch(val) [{e}][10/10]  accuracy/top1: {a}"
        ),
        "val accuracy top1 0.7000 at epoch 4",
        ("train_loss", "val_accuracy_top1"),
        0,
    ),
    "stable_baselines": (
        lines(
            "-----\n| rollout/           |      |\n|    ep_rew_mean     | {a}  |\n| time/              |      |\n"
            "|    total_timesteps | {s} |\n| train/             |      |\n|    loss            | {l}  |\n-----"
        ),
        "ep rew mean 0.7000 at step 1,000",
        (),
        4,
    ),
    "xgboost": (lines("[{e}]\ttrain-rmse:{l}\teval-rmse:{l}", 0), "val rmse 0.6000 at epoch 4", ("train_rmse",), 0),
    "printed_again_at_the_end": (
        lines("epoch={e} step={s} train_loss={l} val_loss={l}") + "epoch_end=4 train_loss=0.5 val_loss=0.5\n",
        "val loss 0.5000 at epoch 4",
        ("train_loss",),
        0,
    ),
    "ignite": (
        lines("Training Results - Epoch: {e}  Avg loss: {l}\nValidation Results - Epoch: {e}  Avg loss: {l}"),
        "val avg loss 0.6000 at epoch 4",
        ("train_avg_loss", "val_avg_loss"),
        0,
    ),
}


@pytest.mark.parametrize("name", PRINTED)
def test_what_a_loop_prints_is_read(tmp_path: Path, name: str) -> None:
    text, headline, metrics, windows = PRINTED[name]
    path = tmp_path / "train.log"
    path.write_text(text)
    assert detect(path) == "console"
    run = open_run(path)
    assert last_figures(run) == headline
    assert set(metrics) <= set(run.metric_names)
    assert len(run.windows) == windows


@pytest.mark.parametrize(
    "text",
    [
        "hello\nWe trained for 10 epochs and the loss was 0.3\nThen for 20 epochs and the loss was 0.2\n",
        "torch==2.1.0\nnumpy==1.26\n",
        "epoch 1 begins\nepoch 2 begins\n",
        "",
    ],
)
def test_other_texts_are_no_logs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(InputError):
        open_run(path)


def test_a_loss_that_is_printed_as_nan_is_one(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("epoch 1 loss: 0.5\nepoch 2 loss: nan\nepoch 3 loss: nan\n")
    values = open_run(path).series("loss").values.tolist()
    assert values[0] == 0.5
    assert all(value != value for value in values[1:])
