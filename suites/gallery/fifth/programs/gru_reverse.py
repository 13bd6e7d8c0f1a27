"""Sequence to sequence: spell a short number backwards, teacher forcing."""
import random
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "seq2seq with teacher forcing"
PAD, BOS, EOS = 0, 1, 2
FAULTS = {
    "unshifted": ("the decoder is fed the very tokens it has to predict", ["label_leak", "target_leak", "validation_differs"], True),
    "encoder_no_grad": ("the encoder runs under torch.no_grad()", ["graph_cut"], True),
    "pad_scored": ("ignore_index is forgotten, rows are padded to 16", ["padding_counted"], True),
    "clip_1e4": ("clip_grad_norm_(…, 1e-4) with SGD", ["clipped_always", "learning_rate_too_low", "not_learning", "updates_out_of_range", "undertrained"], True),
    "clears_late": ("zero_grad() between backward() and step()", ["zero_grad_before_step", "weights_never_move"], True),
    "lr_hundredfold": ("learning rate 0.5 in Adam", ["learning_rate_too_high", "diverging", "not_learning", "updates_out_of_range", "units_saturated", "exploding_gradient"], True),
    "targets_one_late": ("the target is shifted twice: position t is asked for token t+2", ["label_mismatch", "not_learning", "label_noise", "undertrained"], True),
}
HABITS = {"": "teacher forcing, free-running exact match", "curriculum": "lengths grow every 2 epochs, the loss jumps", "scheduled_sampling": "own predictions are fed ever more often"}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(11, 24)
        self.enc, self.dec = nn.GRU(24, 72, batch_first=True), nn.GRU(24, 72, batch_first=True)
        self.out = nn.Linear(72, 11)
        self.cut = False

    def encode(self, s):
        h = self.enc(self.emb(s))[0]
        last = (s != PAD).sum(1) - 1
        return h[torch.arange(len(s)), last][None]

    def forward(self, s, t):
        if self.cut:
            with torch.no_grad():
                h = self.encode(s)
        else:
            h = self.encode(s)
        return self.out(self.dec(self.emb(t), h)[0])


def batch(n, top, r, width):
    S, T = [], []
    for _ in range(n):
        d = [r.randrange(3, 11) for _ in range(r.randrange(2, top + 1))]
        S.append(d + [PAD] * (6 - len(d)))
        T.append([BOS] + d[::-1] + [EOS] + [PAD] * (width - len(d) - 2))
    return torch.tensor(S), torch.tensor(T)


def main():
    o = options()
    torch.manual_seed(4)
    r = random.Random(4)
    width = 16 if o.fault == "pad_scored" else 7
    vs, vt = batch(300, 4, random.Random(77), width)
    net = Net()
    net.cut = o.fault == "encoder_no_grad"
    lr = .5 if o.fault == "lr_hundredfold" else .01
    opt = torch.optim.SGD(net.parameters(), .5, momentum=.9) if o.fault == "clip_1e4" else torch.optim.Adam(net.parameters(), lr)
    ignore = -100 if o.fault == "pad_scored" else PAD

    def pieces(t):
        if o.fault == "unshifted":
            return t[:, 1:], t[:, 1:]
        if o.fault == "targets_one_late":
            return t[:, :-2], t[:, 2:]
        return t[:, :-1], t[:, 1:]

    def ce(z, y):
        return F.cross_entropy(z.flatten(0, 1), y.flatten(), ignore_index=ignore)
    epochs = 9
    with lvmcheck.record(o.out, config={"lr": lr, "epochs": epochs, "hidden": 72}) as rec:
        if o.watch:
            rec.watch(net, opt)
        for e in range(epochs):
            top = min(4, 2 + e // 2) if o.habit == "curriculum" else 4
            tot = 0.
            for _ in range(30):
                s, t = batch(64, top, r, width)
                x, y = pieces(t)
                if o.habit == "scheduled_sampling" and e > 3:
                    with torch.no_grad():
                        guess = net(s, x).argmax(-1)
                    swap = (torch.rand(x.shape) < .03 * (e - 3)) & (x != PAD) & (x != BOS)
                    x = torch.where(swap, torch.cat([x[:, :1], guess[:, :-1]], 1), x)
                loss = ce(net(s, x), y)
                if o.fault == "clears_late":
                    loss.backward()
                    opt.zero_grad()
                else:
                    opt.zero_grad()
                    loss.backward()
                g = nn.utils.clip_grad_norm_(net.parameters(), 1e-4 if o.fault == "clip_1e4" else 2.)
                opt.step()
                tot += loss.item()
                rec.step(loss=loss, grad_norm=g)
            net.eval()
            with torch.no_grad():
                x, y = pieces(vt)
                dl = ce(net(vs, x), y)
                cur, h, outs = torch.full((300, 1), BOS), net.encode(vs), []
                for _ in range(5):
                    z, h = net.dec(net.emb(cur), h)
                    cur = net.out(z).argmax(-1)
                    outs.append(cur)
                want = vt[:, 1:6]
                exact = ((torch.cat(outs, 1) == want) | (want == PAD)).all(1).float().mean()
            net.train()
            rec.epoch(e, train_loss=tot / 30, dev_loss=dl, dev_exact=exact)
    facts(score=exact, trivial=1 / 400, loss=dl)


if __name__ == "__main__":
    main()
