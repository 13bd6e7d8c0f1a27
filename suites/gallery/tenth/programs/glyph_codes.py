"""Compress drawn 12 x 12 glyphs: plain, quantised, sparse, masked, variational."""
import argparse

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck


def draw(n, generator):
    """A rectangle, a bar or a cross with random place and size."""
    images = torch.zeros(n, 12, 12)
    kind = torch.randint(0, 3, (n,), generator=generator)
    place = torch.randint(1, 6, (n, 2), generator=generator)
    size = torch.randint(3, 6, (n, 2), generator=generator)
    for i in range(n):
        (r, c), (h, w) = place[i].tolist(), size[i].tolist()
        if kind[i] == 0:
            images[i, r : r + h, c : c + w] = 1
            images[i, r + 1 : r + h - 1, c + 1 : c + w - 1] = 0
        elif kind[i] == 1:
            images[i, r : r + 2, c : c + w] = 1
        else:
            images[i, r + h // 2, c : c + w] = 1
            images[i, r : r + h, c + w // 2] = 1
    return images.flatten(1)


class Codebook(nn.Module):
    """Vector quantisation with straight-through gradients."""

    def __init__(self, size, width, by_average):
        super().__init__()
        self.by_average = by_average
        start = torch.randn(size, width) * 0.5
        if by_average:
            self.register_buffer("codes", start)
            self.register_buffer("count", torch.ones(size))
            self.register_buffer("total", start.clone())
        else:
            self.codes = nn.Parameter(start)

    def forward(self, z):
        who = torch.cdist(z, self.codes).argmin(-1)
        chosen = self.codes[who]
        loss = (0.25 if self.by_average else 1.0) * F.mse_loss(z, chosen.detach())
        if self.by_average:
            if self.training:
                with torch.no_grad():
                    hot = F.one_hot(who.flatten(), len(self.codes)).float()
                    self.count.lerp_(hot.sum(0), 0.05)
                    self.total.lerp_(hot.T @ z.flatten(0, -2), 0.05)
                    self.codes.copy_(self.total / self.count.clamp(min=1e-2)[:, None])
                    rare = self.count < 0.05
                    if rare.any():
                        rows = z.flatten(0, -2)
                        fresh = rows[torch.randint(0, len(rows), (int(rare.sum()),))]
                        self.codes[rare], self.total[rare], self.count[rare] = fresh, fresh, 1.0
        else:
            loss = loss + F.mse_loss(chosen, z.detach())
        return z + (chosen - z).detach(), loss, who


class Net(nn.Module):
    def __init__(self, habit):
        super().__init__()
        self.habit = habit
        width = 128 if habit == "sparse" else 32
        self.encoder = nn.Sequential(nn.Linear(144, 128), nn.ReLU(), nn.Linear(128, 2 * width if habit == "elbo" else width))
        self.decoder = nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 144))
        if habit.startswith("vq"):
            self.book = Codebook(64, 8, habit == "vq_average")

    def forward(self, x):
        z = self.encoder(x)
        extra = z.new_zeros(())
        if self.habit.startswith("vq"):
            z, extra, _ = self.book(z.unflatten(1, (4, 8)))
            z, extra = z.flatten(1), 40 * extra
        elif self.habit == "elbo":
            mean, log_var = z.chunk(2, 1)
            extra = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1).mean()
            z = mean + (0.5 * log_var).exp() * torch.randn_like(mean) if self.training else mean
        elif self.habit == "sparse":
            z = F.relu(z)
            extra = 0.02 * z.abs().sum(1).mean()
        return self.decoder(z), extra


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    p.add_argument("--habit", default="summed")
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(11)
    g = torch.Generator().manual_seed(1)
    train, val = draw(4000, g), draw(800, g)
    loader = DataLoader(TensorDataset(train), batch_size=64, shuffle=True)
    val_loader = DataLoader(TensorDataset(val), batch_size=200)
    model = Net(a.habit)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    with lvmcheck.record(a.out, config=vars(a) | {"epochs": 14}) as rec:
        if a.habit in ("vq_average", "masked"):
            rec.watch(model, optimizer, train=loader, val=val_loader)
        for epoch in range(1, 15):
            model.train()
            seen, total = 0, 0.0
            for (x,) in loader:
                shown, weight = x, torch.ones_like(x)
                if a.habit == "masked":  # hide some 3 x 3 patches, score only those
                    hidden = (torch.rand(len(x), 4, 4) < 0.4).float()
                    hidden = hidden.repeat_interleave(3, 1).repeat_interleave(3, 2).flatten(1)
                    shown, weight = x * (1 - hidden) - hidden, hidden
                elif a.habit == "noisy_input":
                    shown = (x + 0.4 * torch.randn_like(x)).clamp(0, 1)
                logits, extra = model(shown)
                nats = (weight * F.binary_cross_entropy_with_logits(logits, x, reduction="none")).sum(1).mean()
                loss = nats + extra
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                sign = -1 if a.habit == "elbo" else 1
                rec.step(loss=loss, **({"elbo": sign * loss} if a.habit == "elbo" else {"nats": nats}))
                seen, total = seen + len(x), total + float(loss) * len(x)
            model.eval()
            bits, wrong, rows, used = 0.0, 0, 0, set()
            with torch.no_grad():
                where = torch.Generator().manual_seed(2)
                for (x,) in val_loader:
                    weight = torch.ones_like(x)
                    if a.habit == "masked":
                        weight = (torch.rand(len(x), 4, 4, generator=where) < 0.4).float()
                        weight = weight.repeat_interleave(3, 1).repeat_interleave(3, 2).flatten(1)
                        logits, extra = model(x * (1 - weight) - weight)
                    else:
                        logits, extra = model(x)
                    bits += float((weight * F.binary_cross_entropy_with_logits(logits, x, reduction="none")).sum() + extra * len(x))
                    wrong += int((weight * ((logits > 0) != (x > 0.5))).sum())
                    rows += len(x)
                    if a.habit.startswith("vq"):
                        used |= set(model.book(model.encoder(x).unflatten(1, (4, 8)))[2].flatten().tolist())
            more = {"codes_used": len(used)} if used else {}
            if a.habit == "elbo":
                rec.epoch(epoch, train_elbo=-total / seen, val_elbo=-bits / rows, pixels_wrong=wrong / rows, **more)
            else:
                rec.epoch(epoch, train_loss=total / seen, val_loss=bits / rows, pixels_wrong=wrong / rows, **more)


if __name__ == "__main__":
    main()
