"""Tables: counts by Poisson regression, prices by quantiles, a density of mixtures, ordered grades."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from lvmcheck import Recorder
from suites.gallery.heldout._kit import batches, grad_norm, r_squared
from suites.gallery.program import Program, broken, healthy


def table(rows: int, columns: int = 8) -> tuple[Tensor, Tensor]:
    """Columns, and a smooth signal of some of them with unit variance."""
    x = torch.randn(rows, columns)
    signal = torch.sin(1.5 * x[:, 0]) + 0.7 * x[:, 1] * x[:, 2] + 0.5 * x[:, 3].abs() - 0.4 * x[:, 4]
    return x, (signal - 0.4) / 1.1


def tower(columns: int, outputs: int, width: int = 48) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(columns, width),
        nn.LayerNorm(width),
        nn.GELU(),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Linear(width, outputs),
    )


def counts(
    rec: Recorder, *, fault: str = "", epochs: int = 12, rate: float = 3e-3, log_rate: bool = True, every: int = 1
) -> None:
    """Poisson regression with RMSprop; the mean of the counts is about 4."""
    (x, signal), (vx, held) = table(1500), table(400)
    y, vy = torch.poisson((1.2 + 0.7 * signal).exp()), torch.poisson((1.2 + 0.7 * held).exp())
    if fault == "count among the columns":
        x, vx = torch.cat([x, y[:, None]], 1), torch.cat([vx, vy[:, None]], 1)
    if fault == "clipped to constants":
        x, vx = x.clamp(5, 5), vx.clamp(5, 5)
    if fault == "holdout from the training rows":
        vx, vy = x, y
    net = tower(x.shape[1], 1)
    optimizer = torch.optim.RMSprop(net.parameters(), 0.0 if fault == "rate 0" else rate)

    def mean_count(rows: Tensor) -> Tensor:
        out = net(rows).squeeze(1)
        return out.exp() if log_rate else out.relu()

    def likelihood(mean: Tensor, count: Tensor) -> Tensor:
        return (mean - count * (mean if fault == "log of 0" else mean + 1e-8).log()).mean()

    for epoch in range(1, epochs + 1):
        for index in batches(len(x), 50):
            target = y[torch.randperm(len(y))[:50]] if fault == "counts of other rows" else y[index]
            loss = likelihood(mean_count(x[index]), target)
            optimizer.zero_grad()
            (-loss if fault == "sign" else loss).backward()
            rec.step(
                loss=-loss if fault == "sign" else loss,
                grad_norm=grad_norm(net.parameters()),
                lr=optimizer.param_groups[0]["lr"],
                samples=50,
            )
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
        with torch.no_grad():
            train, mean = likelihood(mean_count(x), y).item(), mean_count(vx)
        metrics = {"eval_loss": likelihood(mean, vy).item(), "r2": r_squared(mean, vy)} if epoch % every == 0 else {}
        rec.epoch(epoch, train_loss=train, **metrics)


def prices(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 30,
    rows: int = 1200,
    width: int = 48,
    loss_name: str = "pinball",
    patience: int = 0,
    decay: float = 0.0,
) -> None:
    """Prices around 30,000: squared error in units of the spread, or the pinball loss of the median in currency."""
    (x, signal), (vx, held) = table(rows, 12), table(300, 12)
    y = 30_000 + 8_000 * (signal + 0.35 * torch.randn(rows))
    vy = 30_000 + 8_000 * (held + 0.35 * torch.randn(300))
    net = tower(12, 1, width)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=decay)
    center, scale = (y.mean(), y.std()) if loss_name == "mse" else (torch.tensor(0.0), torch.tensor(1.0))

    def price(rows: Tensor) -> Tensor:
        out = net(rows) if fault == "column against row" else net(rows).squeeze(1)
        return out if loss_name == "mse" else 20_000 + 10_000 * out

    def criterion(out: Tensor, target: Tensor) -> Tensor:
        difference = (target - center) / scale - out
        return difference.abs().mean() / 2 if loss_name == "pinball" else difference.pow(2).mean()

    best, waited = math.inf, 0
    for epoch in range(epochs):
        total = 0.0
        for index in batches(rows, 30):
            optimizer.zero_grad()
            loss = criterion(price(x[index]), y[index])
            penalty = sum((p.pow(2).sum() for p in net.parameters()), torch.tensor(0.0))
            weight = 1.0 if fault == "penalty of weight 1" else 1e-5
            if loss_name == "mse":
                loss = loss + weight * penalty
                rec.step(loss=loss, terms={"mse": (1.0, loss - weight * penalty), "l2": (weight, penalty)})
            else:
                rec.step(loss=loss, lr=2e-3)
            loss.backward()
            optimizer.step()
            total += loss.item() * 30 / rows
        with torch.no_grad():
            out = price(vx)
        value = criterion(out, vy / 1000 if fault == "holdout in thousands" else vy).item()
        rec.epoch(epoch, loss=total, val_loss=value, val_r2=r_squared(out.reshape(-1) * scale + center, vy))
        best, waited = (value, 0) if value < best else (best, waited + 1)
        if patience and waited >= patience:
            break


def density(rec: Recorder, *, fault: str = "", epochs: int = 15) -> None:
    """A mixture density network for a curve in small units: log-densities are positive, the loss negative."""
    x = torch.rand(1600, 1) * 2 - 1
    y = 0.05 * (torch.sin(3 * x) + 0.15 * (1.2 + x) * torch.randn(1600, 1))
    net = nn.Sequential(nn.Linear(1, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 9))
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)

    def nll(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        weight, mean, log_width = net(x).chunk(3, 1)
        norming = log_width if fault == "sign of the width" else -log_width
        part = -0.5 * ((y - 0.1 * mean) / log_width.exp()).pow(2) + norming - 0.919
        middle = (weight.softmax(1) * 0.1 * mean).sum(1, keepdim=True)
        return -(weight.log_softmax(1) + part).logsumexp(1).mean(), (middle - y).pow(2).mean().sqrt()

    for epoch in range(1, epochs + 1):
        for index in batches(1200, 24):
            loss, _ = nll(x[index], y[index])
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            rec.step(loss=loss, grad_norm=norm)
        with torch.no_grad():
            (train, _), (dev, miss) = nll(x[:1200], y[:1200]), nll(x[1200:], y[1200:])
        rec.epoch(epoch, **{"train/nll": train.item(), "dev/nll": dev.item(), "dev/rmse": miss.item()})


def grades(rec: Recorder, *, fault: str = "", epochs: int = 20) -> None:
    """Five ordered grades by cumulative margins: a hinge that reaches 0 once every margin is kept."""
    (x, _), (vx, _) = table(900), table(60)
    y, vy = (((row[:, :3].sum(1) / 1.7).clamp(-1.9, 1.9) * 1.25 + 2.5).floor().long() for row in (x, vx))
    keep = ((x[:, :3].sum(1) / 1.7 * 1.25 + 2.5) % 1 - 0.5).abs() < 0.35
    x, y = x[keep], y[keep]
    y = y.roll(1) if fault == "grades rolled by one row" else y
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 4))
    optimizer = torch.optim.NAdam(net.parameters(), 1e-2)
    for epoch in range(1, epochs + 1):
        for index in batches(len(x), 32):
            side = (y[index, None] > torch.arange(4)).float() * 2 - 1
            loss = functional.relu(1 - side * net(x[index])).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss.item())
        with torch.no_grad():
            grade = (net(vx) > 0).sum(1)
        rec.epoch(epoch, val_mae=float((grade - vy).abs().float().mean()), val_acc=float((grade == vy).float().mean()))


COUNTS = {"epochs": 12, "lr": 3e-3, "optimizer": "RMSprop"}
PROGRAMS: Sequence[Program] = (
    healthy(
        "poisson_counts",
        "The loss is a likelihood without its constant: it is negative and not near 0.",
        counts,
        config=COUNTS,
    ),
    healthy(
        "poisson_counts_every_third",
        "Validated every third epoch only; the training loss is there in every epoch.",
        partial(counts, every=3, rate=1e-3),
    ),
    broken(
        "poisson_counts_rate_0",
        "the learning rate is 0",
        "learning_rate_zero weights_never_move",
        "The learning rate is recorded as 0, and the losses of all epochs are equal to the last digit.",
        partial(counts, fault="rate 0"),
        config={**COUNTS, "lr": 0.0},
    ),
    broken(
        "poisson_counts_sign",
        "the likelihood is given to the optimizer with the wrong sign",
        "loss_sign",
        "The loss of the steps falls to -85 at once; both sets end far worse than they began, R2 below -1.",
        partial(counts, fault="sign"),
    ),
    broken(
        "poisson_counts_log_0",
        "the log of a mean that a rectifier may set to 0",
        "numeric_range",
        "Losses of some epochs are NaN; between them the model learns, because the rectifier's gradient is 0 there.",
        partial(counts, fault="log of 0", log_rate=False),
        config=COUNTS,
    ),
    broken(
        "poisson_counts_other_rows",
        "each batch draws its counts apart from its rows",
        "label_mismatch not_learning",
        "R2 stays at 0, neither loss falls after the first epoch, gradients are not small.",
        partial(counts, fault="counts of other rows"),
        config=COUNTS,
    ),
    broken(
        "poisson_counts_constant_inputs",
        "clamp(5, 5) where (-5, 5) was meant makes every input 5",
        "not_learning",
        "R2 stays at 0 from the first epoch to the last: the model gives the mean.",
        partial(counts, fault="clipped to constants"),
        config=COUNTS,
    ),
    broken(
        "poisson_counts_leak",
        "the count itself is among the columns",
        "target_leak",
        "R2 of 0.98 for counts with Poisson noise cannot be, but nobody recorded the noise.",
        partial(counts, fault="count among the columns"),
        visible=False,
        config=COUNTS,
    ),
    broken(
        "poisson_counts_same_rows",
        "the held-out rows are the training rows",
        "validation_is_training",
        "Both losses are measured in the same way and equal to the last digit in every epoch.",
        partial(counts, fault="holdout from the training rows"),
        config=COUNTS,
    ),
    healthy(
        "median_prices", "A loss in the thousands that never comes near 0; R2 grows slowly; epochs from 0.", prices
    ),
    healthy(
        "prices_early_stop",
        "Stopped by a plain break after four epochs without progress; a small L2 term is recorded.",
        partial(prices, loss_name="mse", patience=4, epochs=60),
    ),
    broken(
        "prices_broadcast",
        "predictions [N, 1] against targets [N]",
        "not_learning label_mismatch",
        "The squared error of standardised prices stays at 1 and R2 at 0 for 30 epochs.",
        partial(prices, fault="column against row", loss_name="mse"),
    ),
    broken(
        "prices_thousands",
        "held-out prices are in thousands, training prices are not",
        "validation_differs wrong_scale",
        "The validation loss is many times the training loss from the first epoch and stays, while its R2 rises.",
        partial(prices, fault="holdout in thousands"),
    ),
    broken(
        "prices_penalty",
        "the weight of the L2 term is 1 instead of 1e-5",
        "dominant_term",
        "The L2 term is 60 times the error; the error stays at that of the mean and R2 at 0.",
        partial(prices, fault="penalty of weight 1", loss_name="mse"),
    ),
    broken(
        "prices_overfit",
        "a wide net on 90 rows for 60 epochs",
        "overfitting",
        "The training loss falls to 0.003; the validation loss turns after the fourth epoch and stays at 0.76.",
        partial(prices, rows=90, width=160, epochs=60, loss_name="mse"),
    ),
    healthy(
        "mixture_density",
        "A negative loss whose optimum is nowhere near 0; gradients grow as the density becomes sharp.",
        density,
    ),
    broken(
        "mixture_density_sign",
        "the log of the width has the wrong sign in the density",
        "loss_sign diverging",
        "The loss falls without end by the same amount each epoch while the error of the mean does not improve.",
        partial(density, fault="sign of the width"),
    ),
    healthy(
        "ordered_grades",
        "A hinge that is satisfied: the loss reaches exactly 0 in some batches; 60 rows of validation.",
        grades,
    ),
    broken(
        "ordered_grades_rolled",
        "grades are rolled by one row",
        "label_mismatch not_learning",
        "The hinge stops at its value for one constant answer, accuracy at 0.25 with every epoch the same.",
        partial(grades, fault="grades rolled by one row"),
    ),
)
