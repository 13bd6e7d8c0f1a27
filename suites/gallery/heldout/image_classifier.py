"""Textures: a convolutional classifier with batch norm, and a rare defect to find among many good parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from lvmcheck import Recorder
from suites.gallery.heldout._kit import batches, grad_norm
from suites.gallery.program import Program, broken, healthy

KINDS, SIDE = 6, 12


def textures(count: int, noise: float = 1.5) -> tuple[Tensor, Tensor]:
    """Gratings as bytes 0 to 255; the class is the direction, phase and frequency are free."""
    label = torch.randint(KINDS, (count,))
    angle = label * math.pi / KINDS
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    along = angle.cos()[:, None, None] * column + angle.sin()[:, None, None] * row
    wave = (0.9 + 0.4 * torch.rand(count, 1, 1)) * along + 6.3 * torch.rand(count, 1, 1)
    picture = torch.sin(wave) + noise * torch.randn(count, SIDE, SIDE)
    return (128 + 40 * picture).clamp(0, 255)[:, None], label


def normalised(pixels: Tensor) -> Tensor:
    return (pixels - 128) / 50


def convnet(outputs: int, dropout: float = 0.0) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(16, outputs),
    )


def classify(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 12,
    rows: int = 960,
    batch: int = 32,
    rate: float = 0.05,
    smoothing: float = 0.0,
    dropout: float = 0.0,
    schedule: str = "",
    warm_start: int = 0,
    scaler: bool = False,
    first: int = 1,
    names: Sequence[str] = ("train/loss", "valid_loss", "valid_acc"),
    percent: bool = False,
) -> None:
    """SGD with Nesterov momentum on the six directions."""
    (pixels, label), (held, truth) = textures(rows), textures(240)
    if fault == "sorted":
        order = label.argsort()
        pixels, label = pixels[order], label[order]
    net = convnet(KINDS, dropout)
    optimizer = torch.optim.SGD(net.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=1e-4)
    if fault == "rebuilt":
        net = convnet(KINDS, dropout)
    steps = rows // batch
    if schedule == "step":
        plan: torch.optim.lr_scheduler.LRScheduler = torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.3)
    elif schedule == "restarts":
        plan = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4 * steps)
    else:
        plan = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    amp = torch.amp.GradScaler("cpu", enabled=scaler, init_scale=2.0**24, backoff_factor=2.0**-5)
    for epoch in range(-warm_start, epochs):
        if warm_start:
            optimizer.param_groups[0]["lr"] = 0.05 if epoch < 0 else rate  # what somebody else did before this run
        net.train()
        seen, hits = 0.0, 0.0
        for index in batches(rows, batch, shuffle=fault != "sorted"):
            net.zero_grad()
            with torch.autocast("cpu", torch.float16, enabled=scaler):
                scores = net(normalised(pixels[index])).float()
            loss = functional.cross_entropy(scores, label[index], label_smoothing=smoothing)
            amp.scale(loss).backward()
            amp.unscale_(optimizer)
            norm = grad_norm(net.parameters())
            used = optimizer.param_groups[0]["lr"]
            amp.step(optimizer)
            amp.update()
            if schedule == "restarts" or fault == "per batch":
                plan.step()
            seen, hits = seen + loss.item() / steps, hits + float((scores.argmax(1) == label[index]).float().mean())
            if epoch >= 0:
                rec.step(loss=loss.item(), grad_norm=norm, lr=used, samples=batch)
        if schedule == "step" and fault != "per batch":
            plan.step()
        if fault != "train mode":
            net.eval()
        with torch.no_grad():
            view = held if fault == "raw pixels" else normalised(held)
            scores = torch.cat([net(part) for part in view.split(16)])
        accuracy = float((scores.argmax(1) == truth).float().mean()) * (100 if percent else 1)
        values = (
            seen,
            functional.cross_entropy(scores, truth).item(),
            accuracy,
            hits / steps * (100 if percent else 1),
        )
        if epoch >= 0:
            rec.epoch(epoch + first, **dict(zip(names, values, strict=False)))


def defects(rec: Recorder, *, fault: str = "", epochs: int = 10) -> None:
    """One part in fourteen has a flaw; only the class weights make the flaw worth finding."""
    pixels, label = textures(1600, noise=1.0)
    held, truth = textures(800, noise=1.0)
    keep, kept = torch.rand(1600) < 0.38, torch.rand(800) < 0.38
    flaw, flaws = (label == 2) & keep, (truth == 2) & kept
    chosen, chosen_held = (label != 2) | keep, (truth != 2) | kept
    pixels, flaw, held, flaws = pixels[chosen], flaw[chosen].long(), held[chosen_held], flaws[chosen_held].long()
    share = torch.bincount(flaw) / len(flaw)
    weight = share if fault == "weights upside down" else 1 / share
    net = convnet(2)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    for epoch in range(1, epochs + 1):
        net.train()
        losses = []
        for index in batches(len(flaw), 40):
            loss = functional.cross_entropy(net(normalised(pixels[index])), flaw[index], weight / weight.mean())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            rec.step(loss=loss.item(), samples=40)
        net.eval()
        with torch.no_grad():
            scores = net(normalised(held))
        guess = scores.argmax(1)
        both = int((guess & flaws).sum())
        rec.epoch(
            epoch,
            loss=sum(losses) / len(losses),
            val_loss=functional.cross_entropy(scores, flaws, weight / weight.mean()).item(),
            val_acc=float((guess == flaws).float().mean()),
            val_recall=both / int(flaws.sum()),
            val_f1=2 * both / max(1, int(guess.sum() + flaws.sum())),
        )


SGD = {"epochs": 12, "batch_size": 32, "lr": 0.05, "num_classes": KINDS}
PROGRAMS: Sequence[Program] = (
    healthy("texture_cnn", "Batch norm learns fast and leaves ragged validation curves.", classify, config=SGD),
    broken(
        "texture_cnn_rebuilt",
        "the model is made again after the optimizer took its parameters",
        "weights_never_move not_learning",
        "The training loss stays at ln 6 while gradients and learning rate are not zero.",
        partial(classify, fault="rebuilt"),
        config=SGD,
    ),
    healthy(
        "texture_cnn_step_decay",
        "The learning rate falls in steps, and the loss hardly moves any more at the end.",
        partial(classify, schedule="step"),
        config={**SGD, "scheduler": "StepLR(4, 0.3)"},
    ),
    broken(
        "texture_cnn_step_per_batch",
        "StepLR with a period of 4 epochs is stepped for every batch",
        "schedule_ended_early schedule_wrong",
        "The learning rate falls by seven orders of magnitude in two epochs, and everything stands still.",
        partial(classify, schedule="step", fault="per batch"),
        config={**SGD, "scheduler": "StepLR(4, 0.3)"},
    ),
    broken(
        "texture_cnn_raw_pixels",
        "validation images are not normalised",
        "validation_differs",
        "Training accuracy rises, validation is at chance with a loss far above ln 6 from the first epoch.",
        partial(classify, fault="raw pixels", names=("loss", "val_loss", "val_acc", "acc"), first=0),
    ),
    broken(
        "texture_cnn_sorted",
        "the training set is sorted by class and not shuffled",
        "data_order",
        "The loss falls towards 0 inside each block of one class and jumps at its end; validation stays poor.",
        partial(classify, fault="sorted", batch=8, rate=0.01, rows=1440, epochs=5),
        config={"epochs": 5, "batch_size": 8, "lr": 0.01},
    ),
    broken(
        "texture_cnn_lr_30",
        "a learning rate of 30 instead of 0.05",
        "learning_rate_too_high",
        "The loss jumps far above ln 6 in the first steps and never comes back to it.",
        partial(classify, rate=30.0, epochs=6),
        config={**SGD, "lr": 30.0, "epochs": 6},
    ),
    broken(
        "texture_cnn_val_in_train_mode",
        "net.eval() is missing before validation",
        "validation_differs",
        "Batches of 16 normalise themselves: validation is a little worse, which the curves alone do not show.",
        partial(classify, fault="train mode", dropout=0.3),
        visible=False,
        config=SGD,
    ),
    healthy(
        "texture_cnn_smoothed",
        "Label smoothing and dropout keep the training loss far above the test loss; percent, epochs from 0.",
        partial(
            classify,
            smoothing=0.2,
            dropout=0.5,
            epochs=16,
            percent=True,
            first=0,
            names=("train_loss", "test_loss", "test_acc", "train_acc"),
        ),
        config={**SGD, "epochs": 16, "label_smoothing": 0.2},
    ),
    healthy(
        "texture_cnn_restarts",
        "Warm restarts: the learning rate jumps up three times, and the loss with it.",
        partial(classify, schedule="restarts", rate=0.2, epochs=16),
        config={**SGD, "lr": 0.2, "epochs": 16, "scheduler": "CosineAnnealingWarmRestarts"},
    ),
    healthy(
        "texture_cnn_fine_tuned",
        "It starts from good weights, so that four epochs change hardly anything.",
        partial(classify, warm_start=8, rate=0.002, epochs=4, names=("loss", "eval_loss", "top1")),
        config={"epochs": 4, "lr": 0.002, "init": "texture_cnn/last.pt"},
    ),
    healthy(
        "texture_cnn_batches_of_four",
        "The loss of four images is mostly noise; validation is small.",
        partial(classify, batch=4, rate=0.005, rows=720, epochs=5, names=("train/loss", "val/loss", "val/accuracy")),
    ),
    healthy(
        "texture_cnn_grad_scaler",
        "The scaler skips the first steps, whose gradient norm is infinite; three epochs of few large batches.",
        partial(classify, batch=96, rows=1920, epochs=3, rate=0.1, scaler=True),
        config={**SGD, "epochs": 3, "batch_size": 96, "amp": True},
    ),
    healthy("rare_defect", "One part in fourteen is flawed, and class weights make up for it.", defects),
    broken(
        "rare_defect_upside_down",
        "class weights are the frequencies instead of their inverse",
        "class_imbalance",
        "Accuracy is high and constant from the first epoch while recall and F1 are 0: only the common class is given.",
        partial(defects, fault="weights upside down"),
    ),
)
