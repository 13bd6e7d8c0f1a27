"""Adapt a network that was trained on many classes to a small task."""
import argparse
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck


class World:
    """Inputs whose hidden factors decide both the large and the small task."""

    def __init__(self):
        self.mix = torch.randn(10, 64) / 10**0.5
        self.old = torch.randn(20, 10) * 1.5
        self.new = torch.randn(6, 10) * 0.75

    def rows(self, centres, n):
        y = torch.randint(0, len(centres), (n,))
        h = centres[y] + 0.6 * torch.randn(n, 10)
        return torch.sin(h @ self.mix) + 0.3 * torch.randn(n, 64), y


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.inner = nn.Linear(width, width)

    def forward(self, x):
        return x + F.relu(self.inner(self.norm(x)))


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.embed = nn.Linear(64, 96)
        self.blocks = nn.ModuleList(Block(96) for _ in range(3))
        self.head = nn.Linear(96, classes)

    def forward(self, x):
        x = F.relu(self.embed(x))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class LowRank(nn.Module):
    def __init__(self, base, rank=4):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        return self.base(x) + 2.0 * x @ self.down.T @ self.up.T


def fit(model, loader, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


def prepare(model, habit):
    """Optimizer of the second stage."""
    if habit == "probe":
        for name, q in model.named_parameters():
            q.requires_grad_(name.startswith("head"))
        return torch.optim.Adam(model.head.parameters(), lr=5e-3)
    if habit == "lora":
        model.requires_grad_(False)
        model.head.requires_grad_(True)
        for block in model.blocks:
            block.inner = LowRank(block.inner)
        return torch.optim.AdamW([q for q in model.parameters() if q.requires_grad], lr=1e-3)
    if habit == "layer_rates":
        groups = [{"params": model.embed.parameters(), "lr": 2e-6}]
        groups += [{"params": b.parameters(), "lr": 2e-5 * 4**i} for i, b in enumerate(model.blocks)]
        return torch.optim.AdamW([*groups, {"params": model.head.parameters(), "lr": 3e-3}])
    if habit == "tiny_rate":
        return torch.optim.AdamW(
            [{"params": [q for n, q in model.named_parameters() if not n.startswith("head")], "lr": 2e-5},
             {"params": model.head.parameters(), "lr": 1e-3}], weight_decay=0.0)
    if habit == "gradual":
        for name, q in model.named_parameters():
            q.requires_grad_(name.startswith("head"))
        return torch.optim.AdamW(model.head.parameters(), lr=2e-3)
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-3)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--habit", default="full")
    a = p.parse_args()
    torch.manual_seed(5)
    torch.set_num_threads(1)
    world = World()
    model = Net(20)
    big = DataLoader(TensorDataset(*world.rows(world.old, 4000)), batch_size=100, shuffle=True)
    fit(model, big, 5)
    model.head = nn.Linear(96, 6)
    anchor = {n: q.detach().clone() for n, q in model.named_parameters() if not n.startswith("head")}
    train = DataLoader(TensorDataset(*world.rows(world.new, 1600)), batch_size=40, shuffle=True)
    val = DataLoader(TensorDataset(*world.rows(world.new, 800)), batch_size=200)
    optimizer = prepare(model, a.habit)
    with lvmcheck.record(a.out, config={"stage": 2, "habit": a.habit, "epochs": 12}) as rec:
        if a.habit in ("lora", "gradual"):
            rec.watch(model, optimizer, train=train, val=val)
        for epoch in range(12):
            if a.habit == "gradual" and epoch in (3, 5, 7):
                block = model.blocks[{3: 2, 5: 1, 7: 0}[epoch]].requires_grad_(True)
                optimizer.add_param_group({"params": list(block.parameters()), "lr": {3: 5e-4, 5: 2e-4, 7: 1e-4}[epoch]})
            model.train()
            if a.habit in ("norm_kept", "probe", "lora"):  # statistics of the large task stay
                for m in model.modules():
                    if isinstance(m, nn.BatchNorm1d):
                        m.eval()
            losses = []
            for x, y in train:
                ce = F.cross_entropy(model(x), y)
                loss = ce
                if a.habit == "anchored":
                    drift = sum(((q - anchor[n]) ** 2).sum() for n, q in model.named_parameters() if n in anchor)
                    loss = ce + 0.3 * drift
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
                rec.step(loss=loss, lr=optimizer.param_groups[-1]["lr"])
            model.eval()
            with torch.no_grad():
                pairs = [(model(x), y) for x, y in val]
            out, y = torch.cat([q for q, _ in pairs]), torch.cat([y for _, y in pairs])
            rec.epoch(epoch, train_loss=torch.stack(losses).mean(), val_loss=F.cross_entropy(out, y),
                      val_acc=(out.argmax(1) == y).float().mean())


main()
