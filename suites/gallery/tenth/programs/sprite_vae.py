"""A VAE of small sprites (squares, crosses, rings of any place and size) with an annealed KL term."""
import argparse
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import lvmcheck


@dataclass
class Config:
    side: int = 14
    latent: int = 6
    hidden: int = 160
    epochs: int = 14
    batch: int = 64
    lr: float = 2e-3
    beta: float = 1.0
    warm_epochs: int = 6


def sprites(n: int, side: int, seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:side, :side]
    out = np.zeros((n, side, side), np.float32)
    for k in range(n):
        cy, cx, r = rng.uniform(4, side - 4), rng.uniform(4, side - 4), rng.uniform(2, 4)
        dy, dx = np.abs(yy - cy), np.abs(xx - cx)
        kind = rng.integers(3)
        if kind == 0:
            d = np.maximum(dy, dx) - r
        elif kind == 1:
            d = np.maximum(np.minimum(dy, dx) - 0.8, np.maximum(dy, dx) - r)
        else:
            d = np.abs(np.hypot(dy, dx) - r) - 0.8
        out[k] = 1 / (1 + np.exp(4 * d))
    return torch.from_numpy(out.reshape(n, -1))


class VAE(nn.Module):
    def __init__(self, c: Config, fault: str):
        super().__init__()
        self.fault, pixels = fault, c.side**2
        self.encoder = nn.Sequential(nn.Linear(pixels, c.hidden), nn.ReLU(), nn.Linear(c.hidden, c.hidden), nn.ReLU())
        self.mu, self.logvar = nn.Linear(c.hidden, c.latent), nn.Linear(c.hidden, c.latent)
        self.decoder = nn.Sequential(nn.Linear(c.latent, c.hidden), nn.ReLU(), nn.Linear(c.hidden, c.hidden), nn.ReLU(), nn.Linear(c.hidden, pixels))
        self.noise = torch.Generator().manual_seed(0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.encoder(x)
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu
        if self.training:
            if self.fault == "same_noise":
                self.noise.manual_seed(0)
            z = mu + (0.5 * logvar).exp() * torch.randn(mu.shape, generator=self.noise)
        if self.fault == "latent_detached":
            z = z.detach()
        out = self.decoder(z)
        if self.fault == "sigmoid_twice":
            out = out.sigmoid()
        if self.fault == "relu_out":
            out = out.relu()
        return out, mu, logvar


def parts(out: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, fault: str, habit: str) -> tuple[Tensor, Tensor]:
    recon = F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(1).mean()
    if fault == "pixel_mean":
        recon = F.binary_cross_entropy_with_logits(out, x)
    kl = -0.5 * (1 + logvar - mu.square() - logvar.exp())
    if habit == "free_bits":
        return recon, kl.mean(0).clamp(min=0.25).sum()
    return recon, kl.sum(1).mean()


def beta_at(epoch: int, c: Config, fault: str, habit: str) -> float:
    if habit == "cyclic":
        return c.beta * min(1.0, (epoch % 7) / 4)
    if fault == "integer_beta":
        return c.beta * min(1, epoch // 100)
    return c.beta * min(1.0, epoch / c.warm_epochs)


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("outdir")
    cli.add_argument("--fault", default="")
    cli.add_argument("--habit", default="")
    cli = cli.parse_args()
    fault, habit = cli.fault, cli.habit
    torch.set_num_threads(1)
    torch.manual_seed(2)
    c = Config()
    train, val = sprites(2048, c.side, 0), sprites(400, c.side, 1)
    if fault == "repeated_rows":
        train = train[:64].repeat(32, 1)
    if fault == "range_255":
        train, val = train * 255, val * 255
    loader = DataLoader(TensorDataset(train), batch_size=c.batch, shuffle=True)
    model = VAE(c, fault)
    if fault == "decoder_only":
        optimizer = torch.optim.Adam(model.decoder.parameters(), lr=c.lr)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=c.lr)
    with lvmcheck.record(cli.outdir, config=vars(c)) as rec:
        for epoch in range(c.epochs):
            model.train()
            beta = beta_at(epoch, c, fault, habit)
            seen = torch.zeros(2)
            for (x,) in loader:
                out, mu, logvar = model(x)
                recon, kl = parts(out, x, mu, logvar, fault, habit)
                loss = recon - beta * kl if fault == "kl_minus" else recon + beta * kl
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                seen += torch.stack([recon.detach(), kl.detach()])
                rec.step(loss=loss.item(), recon=recon.item(), kl=kl.item())
            model.eval()
            with torch.no_grad():
                out, mu, logvar = model(val)
                recon, kl = parts(out, val, mu, logvar, fault, habit)
                error = (out.sigmoid() - val).square().mean().sqrt().item()
                active = (mu.std(0) > 0.1).sum().item()
            seen /= len(loader)
            rec.epoch(epoch, train_recon=seen[0], train_kl=seen[1], val_recon=recon, val_kl=kl, val_rmse=error, active_units=active, beta=beta)


if __name__ == "__main__":
    main()
