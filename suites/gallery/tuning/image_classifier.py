"""Small pictures in eight classes, a convolutional net, SGD with momentum."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder
from suites.gallery.program import Program, broken, healthy

CLASSES = 8
SIDE = 12


def pictures(count: int, noise: float = 1.0, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Smooth shapes, one a class, moved by a pixel and covered with noise."""
    shapes = F.interpolate(torch.randn(CLASSES, 1, 4, 4, generator=torch.Generator().manual_seed(5)), SIDE)
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=draw)
    moves = torch.randint(-1, 2, (count, 2), generator=draw).tolist()
    images = torch.stack([torch.roll(shapes[k, 0], move, (0, 1)) for k, move in zip(labels, moves, strict=True)])
    images = images + noise * torch.randn(images.shape, generator=draw)
    return images[:, None], labels


class Net(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(24 * 9, 48),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(48, CLASSES),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images)  # type: ignore[no-any-return]


@torch.no_grad()
def evaluate(model: nn.Module, images: Tensor, labels: Tensor, fault: str = "") -> tuple[float, float]:
    if fault != "validated in train mode":
        model.eval()
    outputs = model(images)
    return F.cross_entropy(outputs, labels).item(), (outputs.argmax(1) == labels).float().mean().item()


def train(
    rec: Recorder,
    *,
    fault: str = "",
    epochs: int = 12,
    lr: float = 0.05,
    batch: int = 32,
    dropout: float = 0.0,
    smoothing: float = 0.0,
    noise: float = 1.0,
    percent: bool = True,
    model: Net | None = None,
) -> Net:
    images, labels = pictures(640, noise)
    val_images, val_labels = pictures(240, noise, seed=2)
    if fault == "train labels shuffled":
        labels = labels[torch.randperm(len(labels))]
    if fault == "60 % of the train labels drawn at random":
        labels = labels.where(torch.rand(len(labels)) > 0.6, torch.randint(CLASSES, (len(labels),)))
    if fault == "validation labels shuffled":
        val_labels = val_labels[torch.randperm(len(val_labels))]
    if fault == "validation not normalised":
        val_images = val_images * 0.5 + 1.5  # the train images were brought to mean 0 and deviation 1, these were not
    if fault == "sorted by class, not shuffled":
        order = labels.argsort(stable=True)
        images, labels = images[order], labels[order]
    model = model or Net(dropout)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    cosine = None
    if fault == "cosine over the epochs, stepped per batch":
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(1, epochs + 1):
        model.train()
        total = 0.0
        order = torch.arange(len(images)) if fault == "sorted by class, not shuffled" else torch.randperm(len(images))
        for rows in order.split(batch):
            outputs = model(images[rows])
            if fault == "softmax before cross entropy":
                outputs = outputs.softmax(1)
            loss = F.cross_entropy(outputs, labels[rows], label_smoothing=smoothing)
            if fault == "log-likelihood of probabilities that have no log":
                loss = F.nll_loss(outputs.softmax(1), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), float("inf"))
            if fault != "optimizer.step never called":
                optimizer.step()
            rec.step(loss=loss, grad_norm=norm, lr=optimizer.param_groups[0]["lr"], samples=len(rows))
            if cosine:
                cosine.step()
            total += loss.item() * len(rows)
        val_loss, val_acc = evaluate(model, val_images, val_labels, fault)
        rec.epoch(
            epoch, train_loss=total / len(images), val_loss=val_loss, val_acc=100 * val_acc if percent else val_acc
        )
    return model


def fine_tune(rec: Recorder) -> None:
    """Weights that are good already: trained on other pictures of the same kind, not recorded."""
    model = Net()
    images, labels = pictures(2000, 0.9, seed=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(8):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
    train(rec, model=model, lr=1e-4, epochs=6, noise=0.9, percent=False)


def average_beside(rec: Recorder) -> None:
    """An exponential moving average of the weights is evaluated beside the raw ones; it lags at first."""
    images, labels = pictures(640)
    val_images, val_labels = pictures(240, seed=2)
    model = Net()
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(12):
        model.train()
        for rows in torch.randperm(len(images)).split(32):
            loss = F.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
                slow.data.lerp_(fast.data, 0.02)
            rec.step(loss=loss)
        raw, slow_figures = evaluate(model, val_images, val_labels), evaluate(average, val_images, val_labels)
        rec.epoch(epoch, val_loss=raw[0], val_acc=raw[1], ema_val_loss=slow_figures[0], ema_val_acc=slow_figures[1])


CONFIG = {"epochs": 12, "lr": 0.05, "batch_size": 32, "num_classes": CLASSES}


PROGRAMS: Sequence[Program] = (
    healthy("image_plain", "accuracy in percent; noisy loss", train, config=CONFIG),
    healthy(
        "image_smoothing_dropout",
        "label smoothing and dropout keep the train loss far above the validation loss from the start to the end",
        partial(train, smoothing=0.1, dropout=0.4, epochs=15, percent=False),
        config={"epochs": 15, "label_smoothing": 0.1, "dropout": 0.4},
    ),
    healthy("image_fine_tuned", "flat from the first epoch, but far above chance", fine_tune, config={"lr": 1e-4}),
    healthy("image_three_epochs", "three epochs are all there is", partial(train, epochs=3), config={"epochs": 3}),
    healthy("image_average_beside", "the average of the weights is at chance in its first epoch", average_beside),
    broken(
        "image_no_step",
        "optimizer.step never called",
        "weights_never_move",
        "validation loss and accuracy are the same number in all epochs, at chance, with a gradient and a rate above 0",
        partial(train, fault="optimizer.step never called"),
        config=CONFIG,
    ),
    broken(
        "image_rate_x1000",
        "learning rate times 1000",
        "learning_rate_too_high diverging",
        "the loss leaps far above ln 8 in the first steps and never comes back",
        partial(train, lr=50.0),
        config={**CONFIG, "lr": 50.0},
    ),
    broken(
        "image_train_labels_shuffled",
        "train labels shuffled against the images",
        "label_mismatch label_noise",
        "validation stays at chance while the train loss goes down slowly: there is nothing but noise to learn",
        partial(train, fault="train labels shuffled", epochs=20),
        config={**CONFIG, "epochs": 20},
    ),
    broken(
        "image_val_labels_shuffled",
        "validation labels shuffled against the images",
        "validation_differs label_mismatch",
        "validation is at chance from the first epoch and its loss only rises, while training soon is good",
        partial(train, fault="validation labels shuffled"),
        config=CONFIG,
    ),
    broken(
        "image_val_not_normalised",
        "validation images not normalised as the train images",
        "validation_differs",
        "validation is near chance and its loss above ln 8 from the first epoch, while training soon is good",
        partial(train, fault="validation not normalised", percent=False),
        config=CONFIG,
    ),
    broken(
        "image_cosine_per_batch",
        "cosine over the epochs, stepped per batch",
        "schedule_wrong",
        "the rate is to fall to 0 once, over 12 epochs, but goes to 0 and back to its start every 24 steps",
        partial(train, fault="cosine over the epochs, stepped per batch"),
        config={**CONFIG, "scheduler": "CosineAnnealingLR", "T_max": 12},
    ),
    broken(
        "image_double_softmax",
        "softmax before cross entropy, in training only",
        "wrong_scale",
        "the train loss ends at its floor ln(e + 7) - 1 = 1.27 while the validation accuracy is high",
        partial(train, fault="softmax before cross entropy", epochs=25),
        config={**CONFIG, "epochs": 25},
    ),
    broken(
        "image_no_log",
        "log-likelihood of probabilities that have no log",
        "wrong_scale loss_sign",
        "a train loss between -1 and 0 cannot be a cross entropy; the one of validation begins at ln 8",
        partial(train, fault="log-likelihood of probabilities that have no log", epochs=20),
        config={**CONFIG, "epochs": 20},
    ),
    broken(
        "image_label_noise",
        "60 % of the train labels drawn at random",
        "label_noise overfitting",
        "validation gets best within a few epochs, then its loss rises and its accuracy falls while noise is memorised",
        partial(train, fault="60 % of the train labels drawn at random", epochs=30),
        config={**CONFIG, "epochs": 30},
    ),
    broken(
        "image_sorted",
        "train set sorted by class and never shuffled",
        "data_order",
        "the loss jumps whenever the class changes, the same way in each epoch, and validation stays near chance",
        partial(train, fault="sorted by class, not shuffled", lr=0.02, batch=16),
        config={**CONFIG, "lr": 0.02, "batch_size": 16},
    ),
    broken(
        "image_val_in_train_mode",
        "validated in train mode with dropout",
        "validation_differs",
        "validation is as bad as training with dropout: nothing tells it from a harder set",
        partial(train, fault="validated in train mode", dropout=0.4, epochs=15),
        visible=False,
        config={**CONFIG, "dropout": 0.4, "epochs": 15},
    ),
)
