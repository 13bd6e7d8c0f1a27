"""Self-supervised vectors of noisy prototypes, judged by a nearest-neighbour vote."""
import argparse
import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="simclr")
a = p.parse_args()
torch.manual_seed(7)
torch.set_num_threads(1)

mixing = torch.randn(12, 48) / 12**0.5
centres = torch.randn(10, 12) * 1.0


def rows(n):
    y = torch.randint(0, 10, (n,))
    inner = centres[y] + 0.8 * torch.randn(n, 12)
    nuisance = 3.0 * torch.randn(n, 8)
    return torch.cat([torch.tanh(inner @ mixing), nuisance], 1), y


def view(x):
    """Other nuisance, dropped features, a little noise."""
    keep = (torch.rand_like(x[:, :48]) > 0.25).float()
    return torch.cat([x[:, :48] * keep + 0.1 * torch.randn_like(x[:, :48]), 3.0 * torch.randn(len(x), 8)], 1)


class Encoder(nn.Module):
    def __init__(self, out=64):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(56, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 64))
        self.projector = nn.Sequential(nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, out))

    def forward(self, x):
        return self.projector(self.trunk(x))


online = Encoder()
predictor = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 64))
teacher = copy.deepcopy(online).requires_grad_(False)
centre = torch.zeros(64)
params = list(online.parameters())
if a.habit in ("byol", "simsiam"):
    params += list(predictor.parameters())
optimizer = torch.optim.AdamW(params, lr=2e-3, weight_decay=1e-4)
x_train, y_train = rows(4096)
x_val, y_val = rows(800)
loader = DataLoader(TensorDataset(x_train), batch_size=256, shuffle=True, drop_last=True)


def info_nce(u, v, temperature):
    u, v = F.normalize(u, dim=1), F.normalize(v, dim=1)
    logits = u @ v.T / temperature
    target = torch.arange(len(u))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def away(u, v):
    return -F.cosine_similarity(u, v.detach(), dim=1).mean()


def barlow(u, v):
    u = (u - u.mean(0)) / (u.std(0) + 1e-5)
    v = (v - v.mean(0)) / (v.std(0) + 1e-5)
    c = u.T @ v / len(u)
    on = ((c.diagonal() - 1) ** 2).sum()
    return on + 0.01 * ((c**2).sum() - (c.diagonal() ** 2).sum())


def objective(x):
    global centre
    one, two = view(x), view(x)
    u, v = online(one), online(two)
    if a.habit in ("simclr", "warm_temperature"):
        return info_nce(u, v, 1.0 if a.habit == "warm_temperature" else 0.2)
    if a.habit == "simsiam":
        return (away(predictor(u), v) + away(predictor(v), u)) / 2
    if a.habit == "barlow":
        return barlow(u, v)
    with torch.no_grad():
        s, t = teacher(one), teacher(two)
    if a.habit == "byol":
        return 4 + 2 * (away(predictor(u), t) + away(predictor(v), s))
    target_s, target_t = F.softmax((s - centre) / 0.07, 1), F.softmax((t - centre) / 0.07, 1)
    centre = 0.9 * centre + 0.1 * torch.cat([s, t]).mean(0)
    return -((target_s * F.log_softmax(v / 0.2, 1)).sum(1) + (target_t * F.log_softmax(u / 0.2, 1)).sum(1)).mean() / 2


@torch.no_grad()
def vote(net):
    net.eval()
    bank, query = F.normalize(net.trunk(x_train), dim=1), F.normalize(net.trunk(x_val), dim=1)
    net.train()
    near = (query @ bank.T).topk(15, 1).indices
    counts = F.one_hot(y_train[near], 10).sum(1)
    spread = query.std(0).mean() * 64**0.5
    return (counts.argmax(1) == y_val).float().mean().item(), spread.item()


with lvmcheck.record(a.out, config={"epochs": 14, "habit": a.habit}) as rec:
    accuracy, spread = vote(online)
    rec.log(knn=accuracy, spread=spread, step=0)
    for epoch in range(14):
        mean = 0.0
        for (x,) in loader:
            loss = objective(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if a.habit in ("byol", "dino"):
                with torch.no_grad():
                    for slow, fast in zip(teacher.parameters(), online.parameters()):
                        slow.lerp_(fast, 0.02)
            mean += loss.item() / len(loader)
            rec.step(loss=loss)
        accuracy, spread = vote(teacher if a.habit == "dino" else online)
        rec.epoch(epoch, train_loss=mean, knn=accuracy, spread=spread)
        print(epoch, mean, accuracy, spread)
