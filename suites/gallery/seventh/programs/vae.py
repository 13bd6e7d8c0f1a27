"""A VAE of small blob images."""
import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(2)
Z = 4
BETA = 150.0 if o.fault == "beta_too_large" else 1.0
EPOCHS = 10


def blobs(n, s=10):
    c = torch.rand(n, 2, 1, 1) * 6 + 1.5
    r = torch.rand(n, 1, 1) * 1.5 + 0.8
    yy, xx = torch.meshgrid(torch.arange(s), torch.arange(s), indexing="ij")
    img = torch.exp(-((yy - c[:, 0]) ** 2 + (xx - c[:, 1]) ** 2) / (2 * r ** 2))
    return (img + 0.05 * torch.rand(n, s, s)).clamp(0, 1).flatten(1)


class VAE(nn.Module):
    def __init__(self, d=100, h=96):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(d, h), nn.ReLU())
        self.mu, self.logvar = nn.Linear(h, Z), nn.Linear(h, Z)
        self.dec = nn.Sequential(nn.Linear(Z, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, d))
        self.log_sigma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        h = self.enc(x)
        mu, logvar = self.mu(h), self.logvar(h)
        if o.fault == "logvar_used_as_std":
            z = mu + logvar * torch.randn_like(mu)
        else:
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        if o.fault == "latent_detached":
            z = z.detach()
        out = self.dec(z)
        if o.fault == "sigmoid_then_logits_loss":
            out = torch.sigmoid(out)
        return out, mu, logvar


def elbo(model, x):
    out, mu, logvar = model(x)
    if o.habit == "gaussian_likelihood":  # a density: negative values are fine
        s = model.log_sigma.clamp(-4, 2)
        recon = (0.5 * ((torch.sigmoid(out) - x) / s.exp()) ** 2 + s).sum(1).mean()
    else:
        recon = F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(1).mean()
    kl = -0.5 * (1 + logvar - mu ** 2 - logvar.exp()).sum(1).mean()
    if o.fault == "kl_sign":
        kl = 0.5 * (1 + logvar - mu ** 2 - logvar.exp()).sum(1).mean()
    return recon, kl


def run(rec):
    x = blobs(2000)
    train, val = x[:1500], x[1500:]
    if o.fault == "images_0_255":
        train, val = train * 255, val * 255
    model = VAE()
    opt = torch.optim.Adam(model.parameters(), lr=5e-3)
    if o.watch:
        rec.watch(model, opt)
    for epoch in range(1, EPOCHS + 1):
        beta = BETA * min(1.0, epoch / 6) if o.habit == "kl_warmup" else BETA
        if o.fault == "kl_sign":
            beta = 0.05
        sums = torch.zeros(3)
        order = torch.randperm(len(train))
        for i in range(0, len(train), 50):
            batch = train[order[i:i + 50]]
            recon, kl = elbo(model, batch)
            loss = recon + beta * kl
            opt.zero_grad()
            loss.backward()
            opt.step()
            sums += torch.tensor([loss.item(), recon.item(), kl.item()])
            rec.step(loss=loss, recon=recon, kl=kl)
        a, b, c = (sums / (len(train) / 50)).tolist()
        model.eval()
        with torch.no_grad():
            vr, vk = elbo(model, val)
        model.train()
        rec.epoch(epoch, loss=a, recon=b, kl=c, val_loss=vr + beta * vk, val_recon=vr, val_kl=vk)


with lvmcheck.record(o.out, config={"beta": BETA, "latent": Z, "epochs": EPOCHS, "model": "vae"}) as recorder:
    run(recorder)
