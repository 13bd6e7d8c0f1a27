"""Tell eleven chirps apart, with optimizers of many kinds."""
import argparse
import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

CLASSES, LENGTH = 11, 64


def chirps(n):
    y = torch.randint(0, CLASSES, (n,))
    t = torch.linspace(0, 1, LENGTH)
    phase = torch.rand(n, 1) * 6.28
    x = torch.sin(phase + (4 + 2.2 * y[:, None]) * 2 * t + 5 * (y[:, None] % 3) * t**2)
    return x + 0.6 * torch.randn(n, LENGTH), y


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=3e-4, betas=(0.9, 0.99), weight_decay=0.01):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for q in group["params"]:
                if q.grad is None:
                    continue
                m = self.state[q].setdefault("m", torch.zeros_like(q))
                q.mul_(1 - group["lr"] * group["weight_decay"])
                q.add_((b1 * m + (1 - b1) * q.grad).sign(), alpha=-group["lr"])
                m.mul_(b2).add_(q.grad, alpha=1 - b2)


class Net(nn.Module):
    def __init__(self, stored=True):
        super().__init__()
        self.stored = stored
        self.first = nn.Sequential(nn.Conv1d(1, 16, 7, padding=3), nn.GroupNorm(4, 16), nn.ReLU(), nn.MaxPool1d(2))
        self.second = nn.Sequential(nn.Conv1d(16, 32, 5, padding=2), nn.GroupNorm(4, 32), nn.ReLU(), nn.MaxPool1d(2))
        self.head = nn.Linear(32 * 16, CLASSES)

    def forward(self, x):
        x = self.first(x[:, None])
        x = self.second(x) if self.stored or not self.training else checkpoint(self.second, x, use_reentrant=False)
        return self.head(x.flatten(1))


def sharpness_aware(model, optimizer, x, y, rho=0.05):
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    with torch.no_grad():
        norm = torch.stack([q.grad.norm() for q in model.parameters()]).norm()
        moves = [rho * q.grad / (norm + 1e-12) for q in model.parameters()]
        for q, move in zip(model.parameters(), moves):
            q.add_(move)
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    with torch.no_grad():
        for q, move in zip(model.parameters(), moves):
            q.sub_(move)
    optimizer.step()
    return loss


def evaluate(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    model.train()
    out, y = torch.cat([o.float() for o, _ in pairs]), torch.cat([y for _, y in pairs])
    return F.cross_entropy(out, y).item(), 100 * (out.argmax(1) == y).float().mean().item()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--habit", default="adamw")
    a = p.parse_args()
    habit = a.habit
    torch.manual_seed(2)
    torch.set_num_threads(1)
    train = DataLoader(TensorDataset(*chirps(2400)), batch_size=16 if habit == "accumulate" else 48, shuffle=True)
    val = DataLoader(TensorDataset(*chirps(600)), batch_size=200)
    model = Net(stored=habit != "recompute")
    optimizer = {
        "lion": lambda: Lion(model.parameters()),
        "sam": lambda: torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9),
        "lbfgs": lambda: torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=6, history_size=8),
        "by_hand": lambda: None,
    }.get(habit, lambda: torch.optim.AdamW(model.parameters(), lr=2e-3))()
    averaged = AveragedModel(model) if habit == "swa" else None
    memory = [torch.zeros_like(q) for q in model.parameters()]
    if habit == "lbfgs":
        train = DataLoader(train.dataset, batch_size=800, shuffle=True)
    epochs = 12
    with lvmcheck.record(a.out, config={"epochs": epochs, "optimizer": habit}, seed=2) as rec:
        if habit in ("accumulate", "recompute", "lion"):
            rec.watch(model, optimizer, train=train, val=val)
        for epoch in range(1, epochs + 1):
            for i, (x, y) in enumerate(train):
                if habit == "sam":
                    loss = sharpness_aware(model, optimizer, x, y)
                elif habit == "lbfgs":

                    def closure():
                        optimizer.zero_grad()
                        value = F.cross_entropy(model(x), y) + 1e-3 * sum((q**2).sum() for q in model.parameters())
                        value.backward()
                        return value

                    loss = optimizer.step(closure)
                elif habit == "by_hand":
                    loss = F.cross_entropy(model(x), y)
                    grads = torch.autograd.grad(loss, list(model.parameters()))
                    with torch.no_grad():
                        for q, g, m in zip(model.parameters(), grads, memory):
                            m.mul_(0.9).add_(g)
                            q.sub_(0.03 * m)
                elif habit == "accumulate":
                    loss = F.cross_entropy(model(x), y)
                    (loss / 3).backward()
                    if (i + 1) % 3 == 0 or i + 1 == len(train):
                        optimizer.step()
                        optimizer.zero_grad()
                    else:
                        continue
                else:
                    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=habit == "bfloat16"):
                        loss = F.cross_entropy(model(x), y)
                    optimizer.zero_grad(set_to_none=False)
                    loss.backward()
                    if habit == "clip":
                        rec.step(loss=loss, grad_norm=nn.utils.clip_grad_norm_(model.parameters(), 0.1))
                    optimizer.step()
                if habit != "clip":
                    rec.step(loss=loss)
            if averaged is not None and epoch > 6:
                averaged.update_parameters(model)
                update_bn(train, averaged)
            val_loss, top1 = evaluate(averaged if averaged is not None and epoch > 6 else model, val)
            rec.epoch(epoch, val_loss=val_loss, top1=top1)
            print(epoch, float(loss.detach()), val_loss, top1)


main()
