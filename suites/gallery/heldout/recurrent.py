"""Sequences: a GRU forecasts a seasonal series; a plain recurrent net recalls its first symbol at the end."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from lvmcheck import Recorder
from suites.gallery.heldout._kit import batches, grad_norm
from suites.gallery.program import CrashError, Program, broken, healthy

PAST = 20


def season(length: int = 1400, noise: float = 0.25) -> Tensor:
    """Two seasons, a slow drift and noise that remembers; nearly unit variance."""
    t, rough = torch.arange(length), torch.randn(length)
    carried = torch.zeros(length)
    for i in range(1, length):
        carried[i] = 0.6 * carried[i - 1] + rough[i]
    return torch.sin(t / 2.1) + 0.6 * torch.sin(t / 5.3 + 1) + 0.3 * torch.sin(t / 170) + noise * carried


class Forecaster(nn.Module):
    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.gru = nn.GRU(1, width, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, window: Tensor) -> Tensor:
        states, _ = self.gru(window[..., None])
        out: Tensor = self.head(states[:, -1]).squeeze(1)
        return out


def forecast(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 12,
    ahead: int = 3,
    micro: int = 1,
    ema: float = 0.0,
    warmup: int = 40,
    rate: float = 1e-2,
    curriculum: bool = False,
    spike: int = -1,
    names: Sequence[str] = ("train_mse", "valid_mse", "valid_mae"),
) -> None:
    """RAdam, the mean squared error of the value some steps ahead."""
    series = season()
    windows = series.unfold(0, PAST + 8, 1)
    net = Forecaster()
    average = copy.deepcopy(net)
    frozen = copy.deepcopy(net)
    optimizer = torch.optim.RAdam(net.parameters(), rate)
    plan = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warmup))
    train, held = windows[:1000], windows[1030:]

    def error(model: nn.Module, rows: Tensor, distance: int) -> Tensor:
        out: Tensor = model(rows[:, :PAST]) - rows[:, PAST - 1 + distance]
        return out

    for epoch in range(1, epochs + 1):
        if fault == "made again" and epoch > 1:
            net = Forecaster()
            optimizer = torch.optim.RAdam(net.parameters(), rate)
            plan = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
        if fault == "crash" and epoch == 5:
            raise CrashError("DataLoader worker (pid 4711) is killed by signal: Killed")
        distance = min(8, 1 + epoch // 3) if curriculum else 0 if fault == "target is the last input" else ahead
        total, count = 0.0, 0
        for index in batches(len(train), 25 * micro):
            optimizer.zero_grad()
            reported = 0.0
            for part in index.split(25):
                rows = train[part] * 25 if (epoch, count) == (4, spike) else train[part]
                loss = error(net, rows, distance).pow(2).mean()
                (loss if fault == "not divided" else loss / micro).backward()
                reported += loss.item() if fault == "not divided" else loss.item() / micro
            norm = grad_norm(net.parameters())
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            rec.step(loss=reported, grad_norm=norm, lr=optimizer.param_groups[0]["lr"], samples=len(index))
            optimizer.step()
            plan.step()
            for mean, live in zip(average.parameters(), net.parameters(), strict=True):
                mean.data.lerp_(live.data, 1 - ema)
            total, count = total + reported, count + 1
        judged = frozen if fault == "copy of the start" else average if fault == "slow average" else net
        with torch.no_grad():
            miss = error(judged, held, distance)
            beside = {"ema_mse": error(average, held, distance).pow(2).mean().item()} if ema and not fault else {}
        values = (total / count, miss.pow(2).mean().item(), miss.abs().mean().item())
        rec.epoch(epoch, **dict(zip(names, values, strict=False)), **beside)


def recall(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 15,
    length: int = 12,
    cell: str = "gru",
    gain: float = 1.0,
    rate: float = 5e-3,
    clip: float = 1.0,
) -> None:
    """Which of eight symbols came first? A plateau at ln 8, then a drop."""
    held = torch.randint(8, (400, length))
    embed = nn.Embedding(8, 16)
    body: nn.RNNBase = (
        nn.GRU(16, 32, batch_first=True) if cell == "gru" else nn.RNN(16, 32, batch_first=True, nonlinearity=cell)
    )
    head = nn.Linear(32, 8)
    parameters = [*embed.parameters(), *body.parameters(), *head.parameters()]
    if cell != "gru":
        with torch.no_grad():
            nn.init.orthogonal_(body.weight_hh_l0, gain)
    optimizer = torch.optim.Adam(parameters, rate)
    for epoch in range(epochs):
        for _ in range(25):
            x = torch.randint(8, (40, length))
            y = x[torch.randperm(40) if fault == "answers reordered" else slice(None), 0]
            loss = functional.cross_entropy(head(body(embed(x))[0][:, -1]), y)
            if fault != "not cleared":
                optimizer.zero_grad()
            loss.backward()
            norm = grad_norm(parameters)
            if clip:
                nn.utils.clip_grad_norm_(parameters, clip)
            optimizer.step()
            rec.step(loss=loss, grad_norm=norm)
        with torch.no_grad():
            scores = head(body(embed(held))[0][:, -1])
        hits = float((scores.argmax(1) == held[:, 0]).float().mean())
        rec.epoch(epoch, test_loss=functional.cross_entropy(scores, held[:, 0]).item(), test_acc=100 * hits)


RNN = {"epochs": 15, "num_classes": 8}
GRU = {"epochs": 12, "lr": 1e-2, "ahead": 3, "optimizer": "RAdam"}
PROGRAMS: Sequence[Program] = (
    healthy(
        "gru_forecast",
        "The first two epochs move little; gradients grow as the net begins to use its memory.",
        forecast,
        config=GRU,
    ),
    healthy(
        "gru_forecast_ema",
        "An average of the weights is judged beside the raw ones and is behind them at first.",
        partial(forecast, ema=0.97),
        config=GRU,
    ),
    healthy(
        "gru_forecast_curriculum",
        "The distance grows from 1 to 8: the loss rises at some boundaries and ends no lower than in epoch 5.",
        partial(forecast, curriculum=True, epochs=21, rate=5e-3),
    ),
    healthy(
        "gru_forecast_spike",
        "One batch in the wrong unit: a loss of 670 in epoch 4, clipped, and over in the next epoch.",
        partial(forecast, spike=20),
        config=GRU,
    ),
    healthy(
        "gru_forecast_accumulated",
        "Five micro-batches are one step; eight steps an epoch.",
        partial(forecast, micro=5, epochs=24, rate=2e-2),
    ),
    broken(
        "gru_forecast_not_divided",
        "the five micro-batches of a step are summed, not averaged",
        "wrong_scale",
        "The training loss is five times the validation loss in every epoch.",
        partial(forecast, fault="not divided", micro=5, epochs=24, rate=2e-2),
    ),
    broken(
        "gru_forecast_last_input",
        "the target is the last value of the window",
        "target_leak",
        "An error of 0.0002 in a noisy series cannot be, but nothing recorded tells the noise.",
        partial(forecast, fault="target is the last input"),
        visible=False,
    ),
    broken(
        "gru_forecast_endless_warmup",
        "warm-up over two million steps in a run of 480",
        "schedule_wrong learning_rate_too_low",
        "The learning rate is still 4000 times below its goal at the end; both losses move in the fourth digit.",
        partial(forecast, warmup=2_000_000),
    ),
    broken(
        "gru_forecast_made_again",
        "net and optimizer are made at the start of each epoch",
        "weights_reset",
        "The loss falls from 0.8 to 0.4 in each epoch and is back in the next; no epoch beats the first.",
        partial(forecast, fault="made again", epochs=8, rate=3e-2, ahead=1, warmup=5),
    ),
    broken(
        "gru_forecast_frozen_copy",
        "a copy made before the training is validated",
        "metric_constant",
        "The validation error is the same to the last digit for 12 epochs while the training error falls to a quarter.",
        partial(forecast, fault="copy of the start"),
    ),
    broken(
        "gru_forecast_slow_average",
        "an average with decay 0.99995 is validated after 480 steps",
        "validation_differs metric_constant",
        "Validation moves in the third digit while the training error falls to a quarter.",
        partial(forecast, fault="slow average", ema=0.99995),
    ),
    broken(
        "gru_forecast_killed",
        "a crash in the fifth epoch of twelve",
        "interrupted",
        "The run failed in epoch 5, says its end; the curves so far are fine.",
        partial(forecast, fault="crash"),
    ),
    healthy(
        "gru_recall",
        "A plateau at ln 8 for five epochs, then a fall to 0; the gradient norm is smallest before it happens.",
        recall,
    ),
    healthy(
        "rnn_recall_orthogonal",
        "Gradients grow tenfold when the net finds the first symbol, and stay there.",
        partial(recall, cell="tanh", rate=1e-3),
    ),
    broken(
        "rnn_recall_small_init",
        "recurrent weights start at 0.03 instead of 1 times orthogonal",
        "vanishing_gradient not_learning",
        "The loss stays at ln 8, accuracy at chance; the global norm does not tell which layers get nothing.",
        partial(recall, cell="tanh", gain=0.03, rate=1e-3),
    ),
    broken(
        "rnn_recall_large_init",
        "recurrent weights start at 3 times orthogonal, without clipping",
        "exploding_gradient",
        "Gradient norms up to 1e8 and losses in the thousands for eight classes.",
        partial(recall, cell="relu", gain=3.0, clip=0, length=24, epochs=6),
    ),
    broken(
        "gru_recall_not_cleared",
        "zero_grad is missing",
        "gradients_not_cleared",
        "The gradient norm grows from 1 to 31 and stays there although the loss goes to 0.01.",
        partial(recall, fault="not cleared", clip=0),
    ),
    broken(
        "gru_recall_reordered",
        "answers are in another order than the sequences",
        "label_mismatch not_learning",
        "The loss stays at ln 8 and accuracy at chance while gradients fade; the twin is through by epoch 9.",
        partial(recall, fault="answers reordered", epochs=10),
    ),
)
