"""Vector-quantised autoencoder of short waves."""
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "vector-quantised autoencoder"
FAULTS = {
    "no_straight_through": ("the decoder is fed the codes themselves: no reconstruction gradient reaches the encoder", ["graph_cut"], True),
    "commitment_1000": ("the commitment term has weight 1000", ["dominant_term", "collapsed_representation", "outputs_collapsed", "not_learning"], True),
    "codebook_left_out": ("the optimizer holds encoder and decoder, not the codebook", ["parameters_not_optimized"], True),
    "both_detached": ("codebook term of two detached tensors", ["loss_term_detached", "graph_cut"], True),
    "decoder_rate_1e4": ("a learning rate of 30 from a typing error", ["learning_rate_too_high", "diverging", "updates_out_of_range", "exploding_gradient", "units_dead", "not_learning"], True),
    "codes_per_batch": ("the code is chosen by argmin over the batch, not over the codebook", ["rows_mix", "outputs_collapsed", "collapsed_representation", "not_learning"], True),
}
HABITS = {"": "reconstruction, codebook and commitment terms", "ema_codebook": "codebook by moving averages, no codebook term"}


class VQ(nn.Module):
    def __init__(self, how, ema):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.Linear(48, 8))
        self.dec = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 24))
        self.how, self.ema = how, ema
        start = torch.randn(32, 4)
        if ema:
            self.register_buffer("codes", start)
            self.register_buffer("count", torch.ones(32))
            self.register_buffer("total", start.clone())
        else:
            self.codes = nn.Parameter(start)

    def forward(self, x):
        z = self.enc(x).view(-1, 4)
        d = torch.cdist(z, self.codes)
        k = d.argmin(0)[torch.arange(len(z)) % 32] % 32 if self.how == "codes_per_batch" else d.argmin(1)
        q = self.codes[k]
        if self.ema and self.training:
            with torch.no_grad():
                one = F.one_hot(k, 32).float()
                self.count.mul_(.95).add_(one.sum(0), alpha=.05)
                self.total.mul_(.95).add_(one.T @ z, alpha=.05)
                self.codes.copy_(self.total / self.count.clamp(min=1e-3)[:, None])
        commit = F.mse_loss(z, q.detach())
        book = F.mse_loss(q.detach() if self.how == "both_detached" else q, z.detach())
        st = q if self.how == "no_straight_through" else z + (q - z).detach()
        return self.dec(st.reshape(len(x), 8)), commit, book, len(k.unique())


def main():
    o = options()
    torch.manual_seed(14)
    t = torch.linspace(0, 6.28, 24)
    ph, fr = torch.rand(2200, 1) * 6.28, torch.randint(1, 4, (2200, 1)).float()
    x = torch.sin(fr * t + ph) * (.5 + torch.rand(2200, 1)) + .05 * torch.randn(2200, 24)
    net = VQ(o.fault, o.habit == "ema_codebook")
    params = [*net.enc.parameters(), *net.dec.parameters()] if o.fault == "codebook_left_out" else net.parameters()
    opt = torch.optim.Adam(params, lr=30. if o.fault == "decoder_rate_1e4" else 3e-3)
    w = 1000. if o.fault == "commitment_1000" else .25
    tr = torch.utils.data.TensorDataset(x[:1800])
    with lvmcheck.record(o.out, config={"commitment": w, "codes": 32}) as rec:
        if o.watch:
            rec.watch(net, opt, train=tr, val=torch.utils.data.TensorDataset(x[1800:]))
        for e in range(10):
            for r in torch.randperm(1800).split(60):
                y, c, b, used = net(x[r])
                mse = F.mse_loss(y, x[r])
                loss = mse + w * c + (0 if net.ema else b)
                opt.zero_grad()
                loss.backward()
                opt.step()
                terms = {"reconstruction": (1., mse), "commitment": (w, c)}
                if not net.ema:
                    terms["codebook"] = (1., b)
                rec.step(loss=loss, terms=terms)
            net.eval()
            with torch.no_grad():
                y, c, b, used = net(x[1800:])
                rec.epoch(e, val_recon=F.mse_loss(y, x[1800:]), val_commit=c, codes_used=used)
            net.train()
    facts(score=-F.mse_loss(y, x[1800:]), trivial=-x[1800:].var(0).mean(), used=used)


if __name__ == "__main__":
    main()
