"""Tag every character run of Python source: keyword, name, number, string, comment, operator."""
import io
import keyword
import tokenize
import torch
from torch import nn
import lvmcheck
from .common import moved, snapshot, source_text

TASK = "sequence tagging"
KINDS = ["name", "keyword", "number", "string", "comment", "op"]


def sentences():
    text = source_text(500_000, skip=40)
    rows, tags = [], []
    try:
        for tok in tokenize.generate_tokens(io.StringIO(text).readline):
            if not tok.string.strip():
                continue
            k = {tokenize.NUMBER: 2, tokenize.STRING: 3, tokenize.COMMENT: 4, tokenize.OP: 5}.get(tok.type)
            if k is None:
                k = 1 if keyword.iskeyword(tok.string) else 0
            rows.append([min(ord(c), 127) for c in tok.string[:8].ljust(8)])
            tags.append(k)
    except (tokenize.TokenError, IndentationError):
        pass
    n = len(rows) // 20 * 20
    return torch.tensor(rows[:n]).view(-1, 20, 8), torch.tensor(tags[:n]).view(-1, 20)


class Tagger(nn.Module):
    def __init__(self, bug):
        super().__init__()
        self.bug = bug
        self.char = nn.Embedding(128, 8)
        self.lstm = nn.LSTM(24, 32, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(64, 6)

    def forward(self, x):
        e = self.char(x[..., :3]).flatten(2)
        if self.bug == "padding_to_zero":
            e = e * 0
        h, _ = self.lstm(e)
        if self.bug == "relu_on_logits":
            return torch.relu(self.tag(h) - 4)
        return self.tag(h)


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(6)
    x, y = sentences()
    # tag whether the NEXT token opens something is not needed: plain tags
    order = torch.randperm(len(x))
    x, y = x[order][:2000], y[order][:2000]
    tx, ty, vx, vy = x[:1600], y[:1600].clone(), x[1600:], y[1600:]
    if broken == "tags_shifted":
        ty = ty.roll(1, dims=1)
    if broken == "labels_one_based":
        ty = (ty + 1) % 6
    if broken == "few_rows_repeated":
        tx, ty = tx[:6].repeat(267, 1, 1)[:1600], ty[:6].repeat(267, 1)[:1600]
    net = Tagger(broken)
    if broken == "embedding_frozen":
        net.char.weight.data.zero_()
        net.char.weight.requires_grad = False
    start = snapshot(net.lstm)
    opt = torch.optim.Adam(net.parameters(), 5e-3) if broken != "maximise" else torch.optim.Adam(net.parameters(), 5e-3, maximize=True)
    crit = nn.CrossEntropyLoss(reduction="sum" if habit == "sum_reduction" else "mean")
    n = 8
    acc, resets = 0., 0
    with lvmcheck.record(rec_dir, config=dict(epochs=n, lr=5e-3), seed=6) as r:
        if watch:
            print(lvmcheck.preflight(net, (tx[:40], ty[:40]), loss=lambda o, t: crit(o.flatten(0, 1), t.flatten()), optimizer=opt))
            w = r.watch(net, opt, train=[(tx[i], ty[i]) for i in torch.arange(1600).split(40)], val=[(vx, vy)])
        for ep in range(n):
            if broken == "lstm_reset_each_epoch":
                net.lstm.reset_parameters()
                net.tag.reset_parameters()
                resets += 1
            perm = torch.arange(1600) if habit == "fixed_order" else torch.randperm(1600)
            ep_loss = 0.
            for i in perm.split(40):
                out = net(tx[i])
                if broken == "view_in_place_of_transpose":
                    loss = crit(out.reshape(len(i), 6, 20), ty[i])
                else:
                    loss = crit(out.flatten(0, 1), ty[i].flatten())
                if broken == "loss_of_previous_batch":
                    loss = crit(out.flatten(0, 1), ty[i.roll(1)].flatten())
                opt.zero_grad(); loss.backward()
                opt.step()
                ep_loss += loss.item()
                r.step(loss=loss.item())
            if habit == "validation_every_third_epoch" and ep % 3 != 1:
                r.epoch(ep, loss=ep_loss / 40)
                continue
            with torch.no_grad():
                out = net(vx)
                vl = nn.functional.cross_entropy(out.flatten(0, 1), vy.flatten())
                ok = out.argmax(-1) == vy
                acc = ok.float().mean().item()
                f1 = [2 * (ok & (vy == k)).sum() / ((vy == k).sum() + (out.argmax(-1) == k).sum() + 1e-9) for k in range(6)]
            r.epoch(ep, loss=ep_loss / 40, dev_loss=vl, dev_acc=acc, dev_macro_f1=torch.stack(f1).mean())
    with torch.no_grad():
        score = (net(vx).argmax(-1) == vy).float().mean().item()
    return dict(score=score, trivial=(vy == ty.mode().values.mode().values).float().mean().item(), good=0.85, reported=acc, lstm=moved(start, net.lstm), resets=resets)


HEALTHY = {
    "base": "bidirectional LSTM over the first characters of each token",
    "sum_reduction": "the loss is a sum over 800 tokens",
    "fixed_order": "the rows are shuffled once and then read in the same order",
    "validation_every_third_epoch": "validation figures in every third epoch",
}
BROKEN = [
    ("tags_shifted", "training tags are rolled by one token", "targets off by one", "curves"),
    ("labels_one_based", "training tags are counted from another start than validation tags", "labels numbered differently in the two splits", "curves"),
    ("few_rows_repeated", "six rows are repeated to fill the training set", "duplicated training data", "both"),
    ("embedding_frozen", "the embedding is zeroed as padding is and frozen", "inputs carry no information", "both"),
    ("lstm_reset_each_epoch", "the layers are re-initialised at the start of every epoch", "weights are reset again and again", "both", "r['resets']==8"),
    ("maximise", "the optimizer is made with maximize=True", "the loss is maximised", "both"),
    ("view_in_place_of_transpose", "reshape scrambles classes and time where a transpose was meant", "reshape mixes up axes", "curves"),
    ("loss_of_previous_batch", "targets of the neighbouring row are used in the loss", "inputs do not belong to their targets", "curves"),
    ("relu_on_logits", "a ReLU with an offset ends the model, so logits are zero", "dead output units", "both"),
]
