"""A dozen columns, one number to predict, a small perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder
from suites.gallery.program import Program, broken, healthy

COLUMNS = 12


def table(count: int, seed: int, noise: float = 0.3) -> tuple[Tensor, Tensor]:
    """Columns of deviation 1; a target with mean 0 and deviation about 1.3, a tenth of it noise."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, COLUMNS, generator=draw)
    y = torch.sin(1.5 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x[:, 3].abs() - 0.4 + 0.5 * x[:, 4]
    return x, (y + noise * torch.randn(count, generator=draw))[:, None]


def perceptron(width: int = 64, outputs: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(COLUMNS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs)
    )


def r2(prediction: Tensor, target: Tensor) -> float:
    return 1 - ((prediction - target) ** 2).mean().item() / target.var(unbiased=False).item()


def train(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 20,
    lr: float = 3e-3,
    rows: int = 800,
    val_rows: int = 300,
    batch: int = 32,
    width: int = 64,
    noise: float = 0.3,
    scale: float = 1.0,
    decay: float = 0.0,
    reduction: str = "mean",
    optimizer_name: str = "Adam",
    every: int = 1,
    patience: int = 0,
    measure_train: bool = False,
    log_norm: bool = True,
) -> None:
    """Epochs count from 0; the names of metrics are those of a user of spreadsheets: train_mse, valid_mse, valid_r2."""
    x, y = table(rows, 1, noise)
    vx, vy = table(val_rows, 2, noise)
    y, vy = scale * (y + 2 * (scale > 1)), scale * (vy + 2 * (scale > 1))
    if fault == "validated on the train rows":
        vx, vy = x, y
    if fault == "targets shuffled against the rows":
        y = y[torch.randperm(len(y))]
    model = perceptron(width)
    trained = model[:4].parameters() if fault == "head missing from the optimizer" else model.parameters()
    kinds = {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW, "SGD": torch.optim.SGD}
    optimizer = kinds[optimizer_name](trained, lr=lr, weight_decay=decay)
    best, waited, first = float("inf"), 0, None
    for epoch in range(epochs):
        for part in torch.randperm(len(x)).split(batch):
            loss = F.mse_loss(model(x[part]), y[part], reduction=reduction)
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
            optimizer.step()
            rec.step(loss=loss.item(), grad_norm=norm if log_norm else None, lr=optimizer.param_groups[0]["lr"])
        with torch.no_grad():
            train_mse = F.mse_loss(model(x), y).item()
            guess = model(vx)
        figures = {"valid_mse": F.mse_loss(guess, vy).item(), "valid_r2": r2(guess, vy)}
        if fault == "validation computed once, before training":
            first = first or figures
            figures = first
        metrics = {"train_mse": train_mse} if measure_train else {}
        if (epoch + 1) % every == 0:
            metrics |= figures
        rec.epoch(epoch, **metrics)
        if patience:
            best, waited = (figures["valid_mse"], 0) if figures["valid_mse"] < best else (best, waited + 1)
            if waited >= patience:
                break


def train_density(rec: Recorder, *, fault: str = "", epochs: int = 20, rows: int = 1600, lr: float = 3e-3) -> None:
    """Mean and deviation are predicted; the loss is the negative log density, below 0 where predictions are sure."""
    x, y = table(rows, 1, noise=0.02)
    vx, vy = table(300, 2, noise=0.02)
    y, vy = 0.1 * y, 0.1 * vy
    model = perceptron(outputs=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def negative_log_density(rows: Tensor, target: Tensor) -> Tensor:
        mean, log_scale = model(rows).chunk(2, 1)
        if fault == "sign of the log determinant wrong":
            return (0.5 * ((target - mean) / log_scale.exp()) ** 2 - log_scale).mean()
        return (0.5 * ((target - mean) / log_scale.exp()) ** 2 + log_scale).mean()

    for epoch in range(1, epochs + 1):
        for part in torch.randperm(len(x)).split(32):
            loss = negative_log_density(x[part], y[part])
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            rec.step(loss=loss, grad_norm=norm)
        with torch.no_grad():
            valid = negative_log_density(vx, vy).item()
            rec.epoch(epoch, nll=loss.item(), valid_nll=valid, valid_r2=r2(model(vx)[:, :1], vy))


PROGRAMS: Sequence[Program] = (
    healthy("table_plain", "epochs from 0, the loss ends at the noise of the target, not at 0", train),
    healthy(
        "table_thousands",
        "a target in the hundreds that is not normalised: the loss begins in the hundred thousands, r2 far below 0",
        partial(train, scale=300.0, rows=1600, epochs=36, lr=5e-3),
    ),
    healthy(
        "table_few_noisy_rows",
        "batches of four and 24 validation rows: both losses jump about",
        partial(train, batch=4, rows=400, val_rows=24, lr=1e-3, epochs=10, noise=0.6),
        config={"batch_size": 4, "lr": 1e-3},
    ),
    healthy(
        "table_early_stop",
        "ends by a plain break long before the epochs that its config names",
        partial(train, epochs=200, patience=3, lr=1e-2, measure_train=True),
        config={"epochs": 200, "patience": 3},
    ),
    healthy(
        "table_every_third",
        "validated in every third epoch only",
        partial(train, every=3, epochs=18, measure_train=True),
        config={"epochs": 18, "eval_every": 3},
    ),
    healthy("table_density", "the loss is a negative log density: below 0 and falling", train_density),
    broken(
        "table_rate_zero",
        "learning rate 0",
        "learning_rate_zero",
        "the logged rate is 0 and the validation figures are the same number in every epoch",
        partial(train, lr=0.0),
        config={"epochs": 20, "lr": 0.0},
    ),
    broken(
        "table_summed",
        "loss summed over the batch, with SGD",
        "wrong_scale learning_rate_too_high",
        "the loss of a step is 32 times the validation loss per row, and neither gets better than the mean target",
        partial(train, reduction="sum", optimizer_name="SGD", lr=0.03),
        config={"epochs": 20, "lr": 0.03, "optimizer": "SGD"},
    ),
    broken(
        "table_summed_adam",
        "loss summed over the batch, with Adam",
        "wrong_scale",
        "learns as well as ever, but the step loss is the batch size times the mean loss that validation shows",
        partial(train, reduction="sum", batch=64, lr=1e-3, measure_train=True),
    ),
    broken(
        "table_validated_once",
        "validation computed once, before training",
        "metric_constant",
        "the validation figures never change while the train loss falls to a tenth",
        partial(train, fault="validation computed once, before training", measure_train=True),
        config={"epochs": 20},
    ),
    broken(
        "table_overfits",
        "150 noisy rows for a net of 70,000 weights, trained to the end",
        "overfitting",
        "the train error goes to 0 while the validation error turns and rises to the variance of the target",
        partial(train, rows=150, width=256, lr=1e-3, epochs=40, batch=16, noise=1.2, measure_train=True),
        config={"epochs": 40},
    ),
    broken(
        "table_validated_on_train",
        "validated on the train rows",
        "validation_is_training",
        "train and validation error are the same number to the last digit in every epoch",
        partial(train, fault="validated on the train rows", measure_train=True),
    ),
    broken(
        "table_validated_on_train_unseen",
        "validated on the train rows",
        "validation_is_training",
        "a validation loss beside a step loss that is as good: nothing to see",
        partial(train, fault="validated on the train rows", rows=2000, epochs=8),
        visible=False,
    ),
    broken(
        "table_decay_huge",
        "weight decay so large that the weights vanish",
        "not_learning",
        "the error falls to the variance of the target and stays: r2 is 0, never above",
        partial(train, decay=1.0, lr=3e-3),
        config={"epochs": 20, "weight_decay": 1.0},
    ),
    broken(
        "table_targets_shuffled",
        "targets shuffled against the rows",
        "label_mismatch label_noise not_learning",
        "r2 is below 0 from the first epoch to the last while the train error is slowly memorised",
        partial(train, fault="targets shuffled against the rows", measure_train=True),
        config={"epochs": 20},
    ),
    broken(
        "table_head_not_trained",
        "head missing from the optimizer",
        "weights_never_move",
        "the layers below learn around the head: the same r2 as its twin",
        partial(train, fault="head missing from the optimizer", log_norm=False),
        visible=False,
    ),
    broken(
        "table_density_sign",
        "sign of the log determinant wrong",
        "loss_sign diverging",
        "the loss runs away below 0 without end, in training and validation, while r2 gets worse and worse",
        partial(train_density, fault="sign of the log determinant wrong", rows=400, lr=1e-3, epochs=8),
    ),
)
