"""VAE on small blurred strokes, binary cross entropy."""
import torch
from torch import nn
from torch.nn import functional as F

import lvmcheck
from common import options

torch.set_num_threads(1)
torch.manual_seed(2)
o = options()
D, Z, EPOCHS = 14, 8, 14


def strokes(n):
    g = torch.arange(D).float()
    img = torch.zeros(n, D, D)
    start = 3 + 8 * torch.rand(n, 2)
    step = 0.9 * torch.randn(n, 2)
    turn = 0.35 * torch.randn(n, 2)
    p = start
    for t in range(4):
        img = torch.maximum(img, torch.exp(-0.5 * ((g[None, None] - p[:, 0, None, None])**2 + (g[None, :, None] - p[:, 1, None, None])**2) / 2.2))
        p = (p + step).clamp(1, D - 2)
        step = step + turn
    return (0.95 * img + 0.02 + 0.03 * torch.randn(n, D, D)).clamp(0, 1).flatten(1)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(D * D, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
        self.mu, self.logvar = nn.Linear(64, Z), nn.Linear(64, Z)
        self.dec = nn.Sequential(nn.Linear(Z, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, D * D))
        self.log_s = nn.Parameter(torch.tensor(-1.0)) if o.habit == "gaussian" else None

    def forward(self, x):
        h = self.enc(x)
        mu, logvar = self.mu(h), self.logvar(h)
        if o.habit == "plain_ae":
            return self.dec(mu), mu, logvar
        if o.fault == "std_is_var":
            std = torch.exp(logvar)
        else:
            std = torch.exp(0.5 * logvar)
        z = mu + std * torch.randn_like(std)
        if o.fault == "detached":
            z = z.detach()
        return self.dec(z), mu, logvar


def parts(model, out, x, mu, logvar):
    if o.fault == "double_sigmoid":
        out = torch.sigmoid(out)
    if o.habit == "gaussian":
        s = model.log_s
        recon = (0.5 * ((torch.sigmoid(out) - x) / s.exp()) ** 2 + s).sum(1).mean()
    elif o.fault == "recon_mean":
        recon = F.binary_cross_entropy_with_logits(out, x)
    else:
        recon = F.binary_cross_entropy_with_logits(out, x, reduction="sum") / len(x)
    kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()
    if o.fault == "kl_sign":
        kl = -kl
    return recon, kl


data = strokes(1200)
train, val = data[:1000], data[1000:]
model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
running = 0.0
with lvmcheck.record(o.out, config={"epochs": EPOCHS, "lr": 3e-3, "latent": Z, "beta": 1.0}, **o.extra) as rec:
    for epoch in range(1, EPOCHS + 1):
        beta = 1.0
        if o.habit == "beta_warmup":
            beta = min(1.0, epoch / 6)
        if o.fault == "beta_integer":
            beta = min(1.0, epoch // 25)  # warm up over 25 epochs
        if o.habit == "plain_ae":
            beta = 0.0
        if o.fault != "running_not_reset":
            running = 0.0
        batches = 0
        for rows in torch.randperm(len(train)).split(32):
            x = train[rows]
            out, mu, logvar = model(x)
            recon, kl = parts(model, out, x, mu, logvar)
            loss = recon + beta * kl
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running += loss.item()
            batches += 1
            rec.step(loss=loss)
        model.eval()
        with torch.no_grad():
            out, mu, logvar = model(val)
            r, k = parts(model, out, val, mu, logvar)
        model.train()
        metrics = {"train_loss": running / batches, "val_loss": r + beta * k, "val_recon": r}
        if o.habit != "plain_ae":
            metrics["val_kl"] = k
        rec.epoch(epoch, **metrics)
