"""Distillation: a wide network learns seven-segment digits in noise, a narrow one learns from its softened outputs."""
import argparse
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("outdir")
p.add_argument("--fault", default="")
p.add_argument("--habit", default="")
o = p.parse_args()
torch.set_num_threads(1)
torch.manual_seed(9)

ON = ["abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"]
PLACES = {"a": (0, slice(1, 4)), "g": (4, slice(1, 4)), "d": (8, slice(1, 4)), "f": (slice(1, 4), 0),
          "b": (slice(1, 4), 4), "e": (slice(5, 8), 0), "c": (slice(5, 8), 4)}  # fmt: skip


class Digits(Dataset):
    def __init__(self, n, seed, noise=0.3):
        g = torch.Generator().manual_seed(seed)
        self.y = torch.randint(0, 10, (n,), generator=g)
        if o.fault == "sorted" and seed == 1:
            self.y = self.y.sort().values
        glyphs = torch.zeros(10, 9, 5)
        for d, segments in enumerate(ON):
            for s in segments:
                glyphs[d][PLACES[s]] = 1.0
        self.x = torch.zeros(n, 1, 12, 12)
        at = torch.randint(0, 4, (n,), generator=g), torch.randint(0, 8, (n,), generator=g)
        for i in range(n):
            r, c = at[0][i], at[1][i]
            self.x[i, 0, r : r + 9, c : c + 5] = glyphs[self.y[i]]
        self.x += noise * torch.randn(self.x.shape, generator=g)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


def network(width, drop=0.0):
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(drop), nn.Linear(2 * width * 9, 4 * width), nn.ReLU(), nn.Dropout(drop), nn.Linear(4 * width, 10),
    )  # fmt: skip


@torch.no_grad()
def measure(net, loader):
    net.eval()
    loss = right = n = 0
    for x, y in loader:
        out = net(x)
        loss += F.cross_entropy(out, y, reduction="sum").item()
        right += (out.argmax(1) == y).sum().item()
        n += len(y)
    return loss / n, right / n


train_set, val_set = Digits(1600, 1), Digits(500, 2)
if o.fault == "concatenated":
    third = Digits(400, 1)
    train_set = ConcatDataset([third, third, third, third])
loader = DataLoader(train_set, 50, shuffle=o.fault != "sorted")
val_loader = DataLoader(val_set, 250)

teacher = network(12, drop=0.25)
if o.fault != "raw_teacher":
    adam = torch.optim.Adam(teacher.parameters(), lr=4e-3)
    big = DataLoader(Digits(3000, 3), 50, shuffle=True)
    for _ in range(5):
        teacher.train()
        for x, y in big:
            adam.zero_grad()
            F.cross_entropy(teacher(x), y).backward()
            adam.step()
print("teacher", measure(teacher, val_loader), file=sys.stderr)
if o.fault == "teacher_trains":
    teacher.train()
student = network(5)
if o.fault == "large_head":
    nn.init.normal_(student[-1].weight, std=8.0)
TEMP, ALPHA, EPOCHS, LR = 3.0, 0.7, 12, 5e-3
if o.fault == "half_weights":
    student.to(torch.bfloat16)
    optimizer = torch.optim.SGD(student.parameters(), lr=1e-4)
elif o.fault == "teachers_optimizer":
    optimizer = torch.optim.Adam(teacher.parameters(), lr=LR)
elif o.habit == "closure":
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, nesterov=True)
else:
    optimizer = torch.optim.Adam(student.parameters(), lr=LR)


def distillation(s, t, y):
    soft = F.softmax(t / TEMP, 0 if o.fault == "softmax_dim" else 1)
    log_p = F.log_softmax(s / TEMP, 0 if o.fault == "softmax_dim" else 1)
    if o.fault == "probabilities":
        log_p = F.softmax(s / TEMP, 1)
    kd = F.kl_div(log_p, soft, reduction="batchmean") * TEMP**2
    ce = F.cross_entropy(s, y)
    return ALPHA * kd + (1 - ALPHA) * ce, kd, ce


with lvmcheck.record(o.outdir, config={"epochs": EPOCHS, "lr": LR, "alpha": ALPHA, "temperature": TEMP}, seed=9) as rec:
    for epoch in range(1, EPOCHS + 1):
        student.train()
        kds = ces = 0.0
        for x, y in loader:
            if o.fault == "half_weights":
                x = x.bfloat16()
            if o.habit == "mixup":
                lam = torch.distributions.Beta(0.4, 0.4).sample()
                x = lam * x + (1 - lam) * x.flip(0)
            with torch.no_grad():
                t = teacher(x.float())

            def closure():
                optimizer.zero_grad()
                out = student(x).float()
                loss, closure.kd, closure.ce = distillation(out, t, y)
                loss.backward()
                return loss

            if o.habit == "closure":
                loss = optimizer.step(closure)
            else:
                loss = closure()
                optimizer.step()
            kds += closure.kd.item()
            ces += closure.ce.item()
            rec.step(loss=loss.item(), kd=closure.kd.item(), samples=len(y))
        if o.fault == "half_weights":
            val_loss, accuracy = measure(student.float(), val_loader)
            student.to(torch.bfloat16)
        elif o.fault == "measures_teacher":
            val_loss, accuracy = measure(teacher, val_loader)
        else:
            val_loss, accuracy = measure(student, val_loader)
        rec.epoch(epoch, kd=kds / len(loader), hard_loss=ces / len(loader), val_loss=val_loss, top1=accuracy)
