"""A variational autoencoder of handwritten digits; the loss is recorded with its terms."""
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
import lvmcheck
from common import options, facts, real

TASK = "variational autoencoder"
FAULTS = {
    "mean_beside_sum": ("the reconstruction is a mean over pixels, the divergence a sum over the latent", ["dominant_term", "other_term_weight", "outputs_collapsed"], True),
    "divergence_sign": ("the divergence lacks its minus and is rewarded", ["loss_sign", "diverging"], True),
    "encoder_left_out": ("the optimizer holds the decoder", ["parameters_not_optimized"], True),
    "z_detached": ("the latent is detached before the decoder", ["graph_cut", "loss_term_detached"], True),
    "pixels_0_16": ("pixels of 0 to 16 go into binary cross entropy", ["inputs_not_normalised", "numeric_range", "wrong_scale"], True),
    "divergence_not_added": ("the divergence is computed and logged, not added", ["hidden_term", "other_term_weight", "loss_term_detached"], False),
}
HABITS = {"": "sum of both terms", "annealed": "weight of the divergence rises from 0 to 1: the loss rises with it", "gaussian": "gaussian likelihood with a small sigma: negative losses"}


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 16))
        self.dec = nn.Sequential(nn.Linear(8, 96), nn.ReLU(), nn.Linear(96, 64))

    def forward(self, x, cut=False):
        mu, logvar = self.enc(x).chunk(2, 1)
        z = mu + torch.randn_like(mu) * (.5 * logvar).exp() if self.training else mu
        return self.dec(z.detach() if cut else z), mu, logvar


def main():
    o = options()
    torch.manual_seed(10)
    d = real()
    x = torch.from_numpy(d["digits"]).float()[torch.randperm(1797)]
    if o.fault != "pixels_0_16":
        x = x / 16
    train, vx = DataLoader(TensorDataset(x[:1450]), batch_size=50, shuffle=True), x[1450:]
    model = VAE()
    opt = torch.optim.Adam(model.dec.parameters() if o.fault == "encoder_left_out" else model.parameters(), lr=2e-3)
    epochs = 25

    def parts(x):
        out, mu, logvar = model(x, o.fault == "z_detached")
        if o.habit == "gaussian":
            recon = (((torch.sigmoid(out) - x) / .1) ** 2 / 2 - 2.3026 + .9189).sum(1).mean()
        elif o.fault == "mean_beside_sum":
            recon = F.binary_cross_entropy_with_logits(out, x)
        else:
            recon = F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(1).mean()
        kl = -.5 * (1 + logvar - mu ** 2 - logvar.exp()).sum(1).mean()
        if o.fault == "divergence_sign":
            kl = -kl
        return recon, kl, out

    with lvmcheck.record(o.out, config={"epochs": epochs, "latent": 8, "lr": 2e-3}) as rec:
        if o.watch:
            rec.watch(model, opt, train=train)
        for epoch in range(1, epochs + 1):
            beta = min(1., epoch / 15) if o.habit == "annealed" else 0. if o.fault == "divergence_not_added" else 1.
            for (b,) in train:
                recon, kl, _ = parts(b)
                loss = recon if o.fault == "divergence_not_added" else recon + beta * kl
                opt.zero_grad()
                loss.backward()
                opt.step()
                rec.step(loss=loss.detach(), terms={"reconstruction": (1., recon.detach()), "divergence": (beta, kl.detach())}, lr=2e-3)
            model.eval()
            with torch.no_grad():
                recon, kl, out = parts(vx)
            model.train()
            rec.epoch(epoch, val_loss=recon + beta * kl, val_reconstruction=recon, val_divergence=kl)
    scale = 16 if o.fault == "pixels_0_16" else 1
    mse = ((torch.sigmoid(out) - vx / scale) ** 2).mean()
    facts(score=mse, trivial=(vx / scale).var(0).mean(), lower_is_better=True, kl=kl, recon=recon)


if __name__ == "__main__":
    main()
