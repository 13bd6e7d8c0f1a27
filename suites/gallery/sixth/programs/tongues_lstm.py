"""Which of six artificial tongues is a word of? An LSTM over padded sequences."""
import torch
from torch import nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, TensorDataset
import lvmcheck
from common import options, facts

TASK = "sequence classification (LSTM)"
FAULTS = {
    "state_at_the_end": ("the output at the last position is used, which is padding for short words", ["padding_counted", "not_learning"], False),
    "batch_first_missing": ("nn.LSTM without batch_first gets [batch, time, features]", ["rows_mix"], True),
    "state_handed_on": ("hidden state of one batch is where the next one begins, in evaluation too", ["state_leaks", "rows_mix"], True),
    "sorted_no_shuffle": ("the file is sorted by class and the loader does not shuffle", ["rows_sorted", "data_order", "rows_never_shuffled"], True),
    "embedding_left_out": ("the optimizer holds LSTM and head", ["parameters_not_optimized"], True),
    "softmax_over_batch": ("log_softmax(dim=0) before nll_loss", ["softmax_too_many", "rows_mix", "not_learning"], True),
}
HABITS = {"": "packed sequences", "short_first": "curriculum: short words first, the loss rises when long ones come", "val_30": "30 validation words, 12 epochs", "noisy_gradients": "gaussian noise on gradients"}
V, L = 20, 24


def words(n, g):
    trans = torch.softmax(1.6 * torch.randn(6, V, V, generator=torch.Generator().manual_seed(1)), 2)
    y = torch.randint(0, 6, (n,), generator=g)
    length = torch.randint(5, L + 1, (n,), generator=g)
    x = torch.zeros(n, L, dtype=torch.long)
    cur = torch.randint(0, V, (n,), generator=g)
    for t in range(L):
        x[:, t] = cur + 1
        cur = torch.multinomial(trans[y, cur], 1, generator=g)[:, 0]
    x[torch.arange(L) >= length[:, None]] = 0
    return x, length, y


class Net(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.fault, self.state = fault, None
        self.emb = nn.Embedding(V + 1, 16, padding_idx=0)
        self.lstm = nn.LSTM(16, 48, batch_first=fault != "batch_first_missing")
        self.head = nn.Linear(48, 6)

    def forward(self, x, length):
        e = self.emb(x)
        if self.fault in ("state_at_the_end", "batch_first_missing"):
            out, _ = self.lstm(e)
            return self.head(out[:, -1])
        packed = pack_padded_sequence(e, length, batch_first=True, enforce_sorted=False)
        _, (h, c) = self.lstm(packed, self.state)
        if self.fault == "state_handed_on":
            self.state = (h.detach(), c.detach())
        return self.head(h[-1])


def main():
    o = options()
    torch.manual_seed(6)
    g = torch.Generator().manual_seed(6)
    x, length, y = words(2560, g)
    v = words(512, g)
    if o.habit == "val_30":
        v = tuple(t[:30] for t in v)
    if o.fault == "sorted_no_shuffle":
        order = y.argsort()
        x, length, y = x[order], length[order], y[order]
    if o.habit == "short_first":
        order = length.argsort()
        x, length, y = x[order], length[order], y[order]
    net = Net(o.fault)
    train = DataLoader(TensorDataset(x, length, y), batch_size=64, shuffle=o.fault != "sorted_no_shuffle", drop_last=True)
    val = DataLoader(TensorDataset(*v), batch_size=64)
    params = [*net.lstm.parameters(), *net.head.parameters()] if o.fault == "embedding_left_out" else net.parameters()
    opt = torch.optim.Adam(params, lr=4e-3)
    epochs = 12 if o.habit == "val_30" else 10
    with lvmcheck.record(o.out, config={"epochs": epochs, "batch_size": 64}) as rec:
        if o.watch:
            rec.watch(net, opt, train=train, val=val)
        for epoch in range(epochs):
            loader = train
            if o.habit == "short_first":
                part = int(len(x) * min(1, .3 + .1 * epoch))
                loader = DataLoader(TensorDataset(x[:part], length[:part], y[:part]), batch_size=64, shuffle=True, drop_last=True)
            total = 0.
            for bx, bl, by in loader:
                out = net(bx, bl)
                loss = F.nll_loss(F.log_softmax(out, 0), by) if o.fault == "softmax_over_batch" else F.cross_entropy(out, by)
                opt.zero_grad()
                loss.backward()
                if o.habit == "noisy_gradients":
                    for p in net.parameters():
                        p.grad += 2e-3 * torch.randn_like(p)
                opt.step()
                rec.step(loss=loss.detach(), samples=len(bx))
                total += loss.item() / len(loader)
            net.eval()
            with torch.no_grad():
                hits = vl = 0.
                for bx, bl, by in val:
                    out = net(bx, bl)
                    hits += (out.argmax(1) == by).sum().item() / len(v[0])
                    vl += F.cross_entropy(out, by, reduction="sum").item() / len(v[0])
            net.train()
            rec.epoch(epoch, train_loss=total, val_loss=vl, val_accuracy=hits)
    facts(score=hits, trivial=1 / 6, val_loss=vl)


if __name__ == "__main__":
    main()
