"""Bernoulli VAE on drawn bars."""
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck
from .common import moved, snapshot

TASK = "variational autoencoder"


def bars(n, g):
    on = torch.rand(n, 2, 10, generator=g) < 0.15
    img = (on[:, 0, :, None] | on[:, 1, None, :]).float()
    flip = torch.rand(img.shape, generator=g) < 0.02
    return torch.where(flip, 1 - img, img).flatten(1)


class VAE(nn.Module):
    def __init__(self, bug=None, latent=12):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(100, 128), nn.ReLU(), nn.Linear(128, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 128), nn.ReLU(), nn.Linear(128, 100))
        self.bug = bug

    def encode(self, x):
        return self.encoder(x).chunk(2, -1)

    def forward(self, x):
        mu, logvar = self.encode(x)
        std = logvar if self.bug == "log_variance_as_deviation" else (0.5 * logvar).exp()
        z = mu + std * torch.randn_like(mu)
        if self.bug == "latent_detached":
            z = z.detach()
        if self.bug == "decoder_gets_noise":
            z = torch.randn_like(mu)
        return self.decoder(z), mu, logvar


def elbo(model, x):
    """Honest bound per picture, by the textbook."""
    with torch.no_grad():
        mu, lv = model.encode(x)
        z = mu + (0.5 * lv).exp() * torch.randn_like(mu)
        rec = F.binary_cross_entropy_with_logits(model.decoder(z), x, reduction="none").sum(1)
        kl = -0.5 * (1 + lv - mu ** 2 - lv.exp()).sum(1)
    return -(rec + kl).mean().item()


def main(rec_dir, watch, broken=None, habit=None):
    g = torch.Generator().manual_seed(0); torch.manual_seed(0)
    x, v = bars(4000, g), bars(500, g)
    vae = VAE(broken)
    e0, d0 = snapshot(vae.encoder), snapshot(vae.decoder)
    ps = vae.decoder.parameters() if broken == "encoder_not_in_optimizer" else vae.parameters()
    optimizer = torch.optim.Adam(ps, lr=2e-3)
    epochs = 14
    beta_max = {"kl_weight_huge": 200.0}.get(broken, 1.0)
    kls = []
    with lvmcheck.record(rec_dir, config={"epochs": epochs, "lr": 2e-3, "beta": beta_max, "latent": 12}) as rec:
        if watch:
            rec.watch(vae, optimizer)
        for epoch in range(1, epochs + 1):
            beta = beta_max * min(1, epoch / 10) if habit == "kl_annealing" else beta_max
            sums = [0.0, 0.0]
            for idx in torch.randperm(len(x)).split(100):
                xb = x[idx]
                logits, mu, logvar = vae(xb)
                goal = xb.roll(1, 0) if broken == "reconstructs_the_neighbour" else xb
                recon = F.binary_cross_entropy_with_logits(logits, goal, reduction="none").sum(1).mean()
                if broken == "reconstruction_averaged":
                    recon = F.binary_cross_entropy_with_logits(logits, goal)
                kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()
                if broken == "kl_sign":
                    kl = -kl.clamp(max=50)
                loss = recon + (0 if broken == "kl_left_out" else beta) * kl
                if habit == "log_likelihood_offset":
                    loss = loss - 69.3
                optimizer.zero_grad(); loss.backward(); optimizer.step()
                sums[0] += recon.item(); sums[1] += kl.item()
                if habit != "totals_only":
                    rec.step(loss=loss, terms={"recon": (1.0, recon), "kl": (0.0 if broken == "kl_left_out" else beta, kl)})
                else:
                    rec.step(loss=loss)
            kls.append(sums[1] / 40)
            ve = -elbo(vae, v)
            if habit == "totals_only":
                rec.epoch(epoch, val_nelbo=ve)
            else:
                rec.epoch(epoch, recon=sums[0] / 40, kl=sums[1] / 40, beta=beta, val_nelbo=ve)
    p = x.mean(0).clamp(1e-4, 1 - 1e-4)
    trivial = (v * p.log() + (1 - v) * (1 - p).log()).sum(1).mean().item()
    return dict(score=max(-1e6, elbo(vae, v)), trivial=trivial, good=trivial + 8, reported=-ve, kl=kls[-1], enc=moved(e0, vae.encoder), dec=moved(d0, vae.decoder))


HEALTHY = {
    "base": "Bernoulli decoder, both terms summed over a picture",
    "kl_annealing": "the weight of the divergence grows over ten epochs, and so does the loss at times",
    "log_likelihood_offset": "a constant is taken off, the loss ends below zero",
    "totals_only": "only the total is logged",
}
BROKEN = [
    ("log_variance_as_deviation", "the log variance is used as a standard deviation", "parametrisation mixed up", "curves"),
    ("latent_detached", "the sample is detached before the decoder", "part of the graph is detached", "both"),
    ("decoder_gets_noise", "the decoder is fed fresh noise in place of the sample", "wrong variable used", "both"),
    ("encoder_not_in_optimizer", "the optimizer has the decoder only", "part of the model is missing from the optimizer", "watch", "r['enc']==0"),
    ("kl_weight_huge", "the divergence weighs 200 times too much", "a loss term has the wrong weight", "both"),
    ("reconstructs_the_neighbour", "the reconstruction is compared with the next picture of the batch", "inputs do not belong to their targets", "both"),
    ("reconstruction_averaged", "the reconstruction is averaged over pixels while the divergence is summed", "reductions of two terms differ", "both"),
    ("kl_sign", "the divergence is maximised", "a loss term has the wrong sign", "both"),
    ("kl_left_out", "a zero left from debugging switches the divergence off", "a loss term is switched off", "both"),
]
