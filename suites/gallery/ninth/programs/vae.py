# beta-VAE on 14x14 strokes. flat script, no loaders
import sys
import torch, lvmcheck
from torch import nn
from torch.nn import functional as F
from options import options

o = options()
torch.set_num_threads(1)
torch.manual_seed(0)

# ---- data: two soft strokes per picture, 8 bit
N = 1800
yy, xx = torch.meshgrid(torch.arange(14.), torch.arange(14.), indexing="ij")
pics = torch.zeros(N, 14, 14)
for k in range(2):
    cx, cy = torch.rand(N, 1, 1) * 8 + 3, torch.rand(N, 1, 1) * 8 + 3
    phi = torch.rand(N, 1, 1) * 3.1416
    u = (xx - cx) * phi.cos() + (yy - cy) * phi.sin()
    v = -(xx - cx) * phi.sin() + (yy - cy) * phi.cos()
    pics = torch.maximum(pics, torch.exp(-(u / 3.5) ** 2 - (v / 1.0) ** 2))
pics = (255 * (pics + 0.04 * torch.randn(pics.shape)).clamp(0, 1)).round()
x = pics.flatten(1) if o.fault == "not_scaled" else pics.flatten(1) / 255
x_train, x_val = x[:1500], x[1500:]

# ---- model
Z = 10
enc = nn.Sequential(nn.Linear(196, 200), nn.ReLU(), nn.Linear(200, 2 * Z))
if o.habit == "tied":
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.inp, self.bias, self.first = nn.Linear(196, 200), nn.Parameter(torch.zeros(196)), nn.Linear(Z, 200)
            self.inp.weight = enc[0].weight
        def forward(self, z):
            return F.linear(F.relu(self.first(z)), self.inp.weight.t(), self.bias)
    dec = Tied()
elif o.fault == "sigmoid_twice":
    dec = nn.Sequential(nn.Linear(Z, 200), nn.ReLU(), nn.Linear(200, 196), nn.Sigmoid())
else:
    dec = nn.Sequential(nn.Linear(Z, 200), nn.ReLU(), nn.Linear(200, 196))
log_sigma = nn.Parameter(torch.tensor(-0.7)) if o.habit == "gauss" else None

if o.fault == "decoder_missing":
    params = list(enc.parameters())
else:
    params = list({id(p): p for p in [*enc.parameters(), *dec.parameters()]}.values())
if o.habit == "gauss":
    params = [{"params": params}, {"params": [log_sigma], "lr": 1e-2}]
opt = torch.optim.Adam(params, lr=1e-3)

def losses(xb):
    mu, logvar = enc(xb).chunk(2, 1)
    q = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    z = q.sample() if o.fault == "sample" else q.rsample()
    out = dec(z)
    if o.habit == "gauss":
        s = log_sigma.exp()
        recon = (0.5 * ((xb - torch.sigmoid(out)) / s) ** 2 + log_sigma + 0.919).sum(1).mean()
    elif o.fault == "recon_mean":
        recon = F.binary_cross_entropy_with_logits(out, xb)
    else:
        recon = F.binary_cross_entropy_with_logits(out, xb, reduction="sum") / len(xb)
    if o.fault == "kl_sign":
        kl = 0.5 * (1 + logvar - mu ** 2 - logvar.exp()).sum(1).mean()
    else:
        kl = -0.5 * (1 + logvar - mu ** 2 - logvar.exp()).sum(1).mean()
    return recon, kl

EPOCHS, BATCH = 20, 50
with lvmcheck.record(o.out, config=dict(epochs=EPOCHS, batch=BATCH, lr=1e-3, z=Z, kl_warmup=10 if o.habit == "kl_warmup" else 0), **o.extra) as rec:
    for epoch in range(EPOCHS):
        beta = min(1.0, epoch / 10) if o.habit == "kl_warmup" else 1.0
        tot = tr = tk = 0.0
        perm = torch.randperm(len(x_train))
        for i in range(0, len(perm), BATCH):
            recon, kl = losses(x_train[perm[i:i + BATCH]])
            loss = recon + beta * kl
            opt.zero_grad(); loss.backward(); opt.step()
            rec.step(loss=loss)
            n = min(BATCH, len(perm) - i)
            tot += loss.item() * n; tr += recon.item() * n; tk += kl.item() * n
        with torch.no_grad():
            vr, vk = losses(x_val)
        n = len(x_train)
        rec.epoch(epoch, neg_elbo=tot / n, recon=tr / n, kl=tk / n, val_neg_elbo=(vr + vk).item(), val_recon=vr.item(), val_kl=vk.item())
