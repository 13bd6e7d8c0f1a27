"""Speech-like frames to letters with CTC."""
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck

TASK = "speech-like CTC"
T, S, A = 40, 6, 8


def utterances(n, gen, proto):
    lens = torch.randint(3, S + 1, (n,), generator=gen)
    lab = torch.randint(1, A + 1, (n, S), generator=gen)
    x = 0.5 * torch.randn(n, T, 12, generator=gen)
    for i in range(n):
        at = 1
        for j in range(lens[i]):
            d = int(torch.randint(3, 6, (1,), generator=gen))
            x[i, at:at + d] += proto[lab[i, j]]
            at += d + 1
    return x, lab, lens


def collapse(path):
    out, last = [], 0
    for k in path:
        if k != last and k != 0:
            out.append(k)
        last = k
    return out


def edit(a, b):
    d = list(range(len(b) + 1))
    for i, p in enumerate(a, 1):
        prev, d[0] = d[0], i
        for j, q in enumerate(b, 1):
            prev, d[j] = d[j], min(d[j] + 1, d[j - 1] + 1, prev + (p != q))
    return d[-1]


class Acoustic(nn.Module):
    def __init__(self, stride=1):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(12, 48, 5, padding=2, stride=stride), nn.BatchNorm1d(48), nn.ReLU(), nn.Conv1d(48, 48, 3, padding=1), nn.ReLU())
        self.rnn = nn.GRU(48, 24, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(48, A + 1)

    def forward(self, x):
        return self.fc(self.rnn(self.conv(x.transpose(1, 2)).transpose(1, 2))[0])


def error_rate(model, x, lab, lens):
    model.eval()
    with torch.no_grad():
        paths = model(x).argmax(-1).tolist()
    e = sum(edit(collapse(p), lab[i, :lens[i]].tolist()) for i, p in enumerate(paths))
    return e / int(lens.sum())


def main(rec_dir, watch, broken=None, habit=None):
    gen = torch.Generator().manual_seed(8); torch.manual_seed(8)
    proto = torch.randn(A + 1, 12, generator=gen)
    x, lab, lens = utterances(600, gen, proto)
    vx, vlab, vlens = utterances(120, gen, proto)
    model = Acoustic(stride=8 if broken == "stride_too_large" else 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    steps_in = 5 if broken == "stride_too_large" else T
    max_epochs, cer = 10, 1.0
    with lvmcheck.record(rec_dir, config={"max_epochs": max_epochs, "lr": 3e-3, "batch_size": 24}) as rec:
        if watch:
            rec.watch(model, optimizer)
        for epoch in range(1, max_epochs + 1):
            model.train()
            idxs = torch.randperm(600).split(24)
            if habit == "short_first":
                idxs = torch.argsort(lens + torch.rand(600)).split(24) if epoch <= 3 else idxs
            for idx in idxs:
                z = model(x[idx])
                if broken == "log_softmax_over_time":
                    lp = z.log_softmax(1)
                elif broken == "log_softmax_missing":
                    lp = z
                elif broken == "softmax_without_log":
                    lp = z.softmax(-1)
                else:
                    lp = z.log_softmax(-1)
                il = torch.full((len(idx),), steps_in)
                tl = lens[idx]
                blank = A if broken == "wrong_blank" else 0
                targets = lab[idx]
                if broken == "all_targets_full_length":
                    tl = torch.full((len(idx),), S)
                if broken == "lengths_of_other_order":
                    tl = lens[: len(idx)]
                if broken == "input_lengths_short":
                    il = torch.full((len(idx),), 8)
                loss = F.ctc_loss(lp.transpose(0, 1), targets, il, tl, blank=blank, zero_infinity=True)
                optimizer.zero_grad()
                loss.backward()
                g = nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                optimizer.step()
                rec.step(loss=loss, grad_norm=g)
            cer = error_rate(model, vx, vlab, vlens)
            with torch.no_grad():
                zz = model(vx).log_softmax(-1)
                vl = F.ctc_loss(zz.transpose(0, 1), vlab, torch.full((120,), steps_in), vlens, zero_infinity=True).item()
            if habit == "cer_in_percent":
                rec.epoch(epoch, val_cer=100 * cer)
            else:
                rec.epoch(epoch, val_loss=vl, val_cer=cer)
    return dict(score=-error_rate(model, vx, vlab, vlens), trivial=-1.0, good=-0.3, reported=-cer)


HEALTHY = {
    "base": "CTC with blank 0, a plateau of blanks at first",
    "short_first": "a curriculum of short utterances in the first epochs",
    "cer_in_percent": "only the error rate, in percent",
}
BROKEN = [
    ("stride_too_large", "a stride of 8 leaves fewer frames than letters, and zero_infinity hides it", "infinite losses hidden as zero", "both"),
    ("log_softmax_over_time", "log softmax over the frames, not the letters", "softmax over the wrong axis", "both"),
    ("log_softmax_missing", "logits are passed where log probabilities belong", "loss expects log probabilities", "both"),
    ("softmax_without_log", "probabilities are passed where log probabilities belong", "loss expects log probabilities", "both"),
    ("wrong_blank", "the last class is the blank in training, class 0 in decoding", "special symbol differs between training and decoding", "curves"),
    ("all_targets_full_length", "target lengths are the padded length", "padding counted as data", "curves"),
    ("lengths_of_other_order", "lengths are taken in file order, rows in shuffled order", "inputs do not belong to their lengths", "curves"),
    ("input_lengths_short", "input lengths are those after a downsampling that the model no longer has", "most of each input is ignored by the loss", "both"),
]
