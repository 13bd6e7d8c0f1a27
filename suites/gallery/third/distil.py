"""A small student that learns from a teacher's logits, with the teacher's own score beside it."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def net(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(12, width), nn.ReLU(), nn.Linear(width, 6))


def points(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    c = 1.1 * torch.randn(6, 3, 12, generator=torch.Generator().manual_seed(31))
    y = torch.randint(0, 6, (n,), generator=g)
    return c[y, torch.randint(0, 3, (n,), generator=g)] + torch.randn(n, 12, generator=g), y


def train(
    rec: Recorder,
    *,
    epochs: int = 12,
    lr: float = 5e-3,
    width: int = 24,
    temp: float = 3.0,
    mix: float = 0.9,
    ema: float = 0.0,
    style: str = "teacher",
    bug: str = "",
) -> None:
    x, y = points(1500, 1)
    xv, yv = points(500, 2)
    teacher, student = net(96), net(width)
    opt = torch.optim.Adam(teacher.parameters(), lr=4e-3)
    for _ in range(0 if bug == "untrained" else 8):
        for k in torch.randperm(len(x)).split(100):
            opt.zero_grad()
            F.cross_entropy(teacher(x[k]), y[k]).backward()
            opt.step()
    if bug == "into_itself":
        student = teacher
    with torch.no_grad():
        soft = teacher(x)
        teacher_acc = (teacher(xv).argmax(1) == yv).float().mean().item()
    if bug == "order":
        soft = soft[torch.randperm(len(x))]
    opt = torch.optim.Adam(student.parameters(), lr=lr)
    slow = net(width)
    slow.load_state_dict(student.state_dict()) if bug != "into_itself" else None
    for epoch in range(epochs):
        losses, kds, ces = [], [], []
        for k in torch.randperm(len(x)).split(60):
            out = student(x[k])
            target = (soft[k] / temp).softmax(1)
            if bug == "argument":  # kl_div wants a logarithm first
                kd = F.kl_div((out / temp).softmax(1), target, reduction="batchmean") * temp**2
            else:
                kd = F.kl_div((out / temp).log_softmax(1), target, reduction="batchmean") * temp**2
            ce = F.cross_entropy(out, y[k])
            loss = mix * kd + (1 - mix) * ce
            if bug == "minus":
                loss = (1 - mix) * ce - mix * kd
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
            kds.append(kd.item())
            ces.append(ce.item())
            if ema:
                with torch.no_grad():
                    for a, b in zip(slow.parameters(), student.parameters(), strict=True):
                        a.mul_(ema).add_(b, alpha=1 - ema)
            if style == "steps":
                rec.step(loss=loss, terms={"kd": (mix, kd), "ce": (1 - mix, ce)})
        with torch.no_grad():
            model = slow if ema else student
            out = model(xv)
            acc = (out.argmax(1) == yv).float().mean().item()
            agree = (out.argmax(1) == teacher(xv).argmax(1)).float().mean().item()
        mean = sum(losses) / len(losses)
        if style == "teacher":
            rec.epoch(
                epoch,
                train_loss=mean,
                kd_loss=sum(kds) / len(kds),
                ce_loss=sum(ces) / len(ces),
                student_acc=acc,
                teacher_acc=teacher_acc,
            )
        elif style == "agree":
            rec.epoch(epoch, train_loss=mean, val_agreement=agree, val_acc=acc, teacher_val_acc=teacher_acc)
        elif style == "steps":
            rec.epoch(epoch, **{"student/acc": 100 * acc, "teacher/acc": 100 * teacher_acc})


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "distil_untrained",
        "the teacher's checkpoint is not loaded",
        "label_mismatch dominant_term not_learning validation_differs label_noise",
        "the teacher's score is at chance and the student's is low",
        p(bug="untrained"),
        seed=1,
    ),
    broken(
        "distil_order",
        "the teacher's logits are in another order",
        "label_mismatch label_noise dominant_term not_learning",
        "the distillation term does not fall, the labels' term is left",
        p(bug="order", mix=1.0),
        seed=2,
    ),
    broken(
        "distil_argument",
        "probabilities for log probabilities in kl_div",
        "loss_sign wrong_scale label_mismatch numeric_range loss_not_computed",
        "a divergence below 0",
        p(bug="argument"),
        seed=3,
    ),
    broken(
        "distil_minus",
        "the distillation term is subtracted",
        "loss_sign diverging dominant_term",
        "the loss falls without end, the term grows",
        p(bug="minus"),
        seed=4,
    ),
    broken(
        "distil_into_itself",
        "the student is the teacher",
        "target_leak learning_rate_too_low not_learning weights_never_move loss_constant metric_constant",
        "the loss is 1e-6 from the first epoch, nothing moves, scores are equal",
        p(bug="into_itself", mix=1.0, lr=1e-4),
        seed=5,
    ),
    healthy("distil_plain", "the teacher's score as a line", p(), seed=20),
    healthy("distil_agreement", "a moving average of the weights: slow scores", p(style="agree", ema=0.98), seed=21),
    healthy("distil_steps", "terms by step, percent by epoch", p(style="steps"), seed=22),
    healthy("distil_tiny", "a student too small to follow", p(width=4, epochs=15), seed=23),
]
