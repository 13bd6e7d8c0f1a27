"""A GRU that tags tokens of a made-up grammar: most tags are O; token accuracy and F1."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from suites.gallery.program import broken, healthy


def sentences(n, length=16, noise=0.0, words=40):
    """Words 30-39 open a span whose tag depends on the opener and on the word before; words 25-29 close it."""
    w = torch.randint(0, words, (n, length))
    tag = torch.zeros_like(w)
    state = torch.zeros(n, dtype=torch.long)
    previous = torch.zeros(n, dtype=torch.long)
    for t in range(length):
        word = w[:, t]
        opens = word >= 36
        state = torch.where(opens, 1 + (word + previous) % 4, state)
        state = torch.where((word >= 20) & (word < 30), torch.zeros_like(state), state)
        tag[:, t] = state
        previous = word % 2
    if noise:
        flip = torch.rand(n, length) < noise
        tag = torch.where(flip, torch.randint(0, 5, (n, length)), tag)
    return w, tag


class Tagger(nn.Module):
    def __init__(self, drop=0.1, stop=False):
        super().__init__()
        self.e, self.g = nn.Embedding(40, 32), nn.GRU(32, 48, batch_first=True)
        self.o, self.d, self.stop = nn.Linear(48, 5), nn.Dropout(drop), stop

    def forward(self, x):
        h, _ = self.g(self.d(self.e(x)))
        return self.o(self.d(h.detach() if self.stop else h))


def scores(out, y):
    p = out.argmax(-1)
    acc = (p == y).float().mean().item()
    tp = ((p == y) & (y > 0)).sum().item()
    f1 = 2 * tp / max(1, (p > 0).sum().item() + (y > 0).sum().item())
    return acc, f1


def learn(
    rec,
    bug="",
    lr=5e-3,
    epochs=12,
    n=800,
    nv=200,
    noise=0.0,
    style="epoch",
    drop=0.1,
    steps_lr=None,
    cosine=False,
    accumulate=1,
):
    x, y = sentences(n, noise=noise)
    vx, vy = sentences(nv, noise=noise)
    if bug == "words shifted":
        y = y.roll(3, 1)[torch.randperm(n)]
    if bug == "val other words":
        vx = (vx + 13) % 40
    if bug == "all O":
        y = y.clamp(max=0)
    if bug == "few":
        x, y = x[:24], y[:24]
    if bug == "half noisy":
        y = torch.where(torch.rand(y.shape) < 0.7, torch.randint(0, 5, y.shape), y)
    if bug == "val in train":
        vx, vy = x[:nv], y[:nv]
    model = Tagger(drop, stop=bug == "detach")
    weight = torch.tensor([50.0, 1, 1, 1, 1]) if bug == "weights inverted" else None
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs) if cosine else None
    k = 0
    running, hits, tokens = 0.0, 0, 0
    for epoch in range(epochs):
        model.train()
        if bug != "never reset":
            running, hits, tokens, k0 = 0.0, 0, 0, 0
        elif epoch == 0:
            k0 = 0
        if bug == "new optimizer weights":
            for m in model.modules():
                if hasattr(m, "reset_parameters"):
                    m.reset_parameters()
        for rows in torch.randperm(len(x)).split(32):
            out = model(x[rows])
            loss = F.cross_entropy(out.flatten(0, 1), y[rows].flatten(), weight=weight)
            if bug == "plus one minus":
                loss = 1 - loss
            if bug == "accumulates":
                pass
            elif k % accumulate == 0:
                optimizer.zero_grad()
            (loss / accumulate).backward()
            k += 1
            if k % accumulate == 0:
                optimizer.step()
            running += loss.item()
            k0 += 1
            hits += (out.argmax(-1) == y[rows]).sum().item()
            tokens += y[rows].numel()
            if style == "step":
                rec.step(
                    loss=loss.item(),
                    lr=optimizer.param_groups[0]["lr"],
                    acc=(out.argmax(-1) == y[rows]).float().mean().item(),
                )
        if schedule:
            schedule.step()
        model.eval()
        with torch.no_grad():
            out = model(vx)
            vl = F.cross_entropy(out.flatten(0, 1), vy.flatten(), weight=weight).item()
        acc, f1 = scores(out, vy)
        if bug == "f1 of first":
            f1 = 0.0
        if style == "epoch":
            rec.epoch(epoch, **{"loss": running / k0, "acc": hits / tokens, "val_loss": vl, "val_acc": acc})
        elif style == "f1":
            rec.epoch(epoch + 1, **{"train_loss": running / k0, "dev_loss": vl, "dev_f1": f1})
        else:
            rec.epoch(epoch, **{"val/loss": vl, "val/acc": acc, "val/f1": f1})


P = partial
PROGRAMS = [
    broken(
        "tagger-targets-of-others",
        "tags belong to other sentences",
        "label_mismatch label_noise not_learning class_imbalance collapsed_representation",
        "accuracy is one number: stops at the entropy of the tags",
        P(learn, bug="words shifted"),
        seed=131,
    ),
    broken(
        "tagger-val-other-words",
        "validation uses another vocabulary",
        "validation_differs overfitting label_mismatch",
        "validation grows from the first epoch",
        P(learn, bug="val other words"),
        seed=132,
    ),
    broken(
        "tagger-all-O",
        "one class in the training tags",
        "validation_differs label_mismatch class_imbalance collapsed_representation",
        "training accuracy 1 at once, validation loss climbs, f1 0",
        P(learn, bug="all O", style="f1"),
        seed=133,
    ),
    broken(
        "tagger-24-sentences",
        "24 sentences of training",
        "overfitting",
        "training loss 0, validation rises",
        P(learn, bug="few", epochs=150),
        seed=134,
    ),
    broken(
        "tagger-weights-inverted",
        "class weights favour O by 50",
        "class_imbalance wrong_scale",
        "a loss of almost 0 and an F1 of a third",
        P(learn, bug="weights inverted", style="f1"),
        seed=135,
    ),
    broken(
        "tagger-noise",
        "70 % of training tags are random",
        "label_noise label_mismatch overfitting validation_differs",
        "training loss stays high and validation accuracy falls",
        P(learn, bug="half noisy", epochs=20),
        seed=136,
    ),
    broken(
        "tagger-reinit",
        "model is built anew in each epoch",
        "weights_reset not_learning",
        "",
        P(learn, bug="new optimizer weights", style="step"),
        seed=139,
    ),
    broken(
        "tagger-f1-zero",
        "f1 is always 0",
        "metric_constant",
        "loss falls well, f1 is 0",
        P(learn, bug="f1 of first", style="step"),
        seed=140,
    ),
    broken(
        "tagger-detach",
        "the encoder's output is detached",
        "not_learning learning_rate_too_low",
        "",
        P(learn, bug="detach"),
        visible=False,
        seed=142,
    ),
    broken(
        "tagger-val-in-train",
        "validation sentences are training ones",
        "validation_is_training",
        "",
        P(learn, bug="val in train", epochs=25),
        visible=False,
        seed=143,
    ),
    healthy("tagger-plain", "nothing awkward", P(learn), seed=151),
    healthy(
        "tagger-noisy-tags",
        "20 % irreducible tag noise: plateau",
        P(learn, noise=0.2, epochs=10, n=1500, lr=3e-3, style="f1"),
        seed=152,
    ),
    healthy(
        "tagger-accumulation",
        "gradients of two batches are accumulated",
        P(learn, accumulate=2, style="step", cosine=True, epochs=15),
        config={"lr": 5e-3, "epochs": 15, "accumulate": 2},
        seed=153,
    ),
]
