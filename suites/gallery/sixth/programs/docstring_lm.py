"""A small causal transformer on the docstrings of Python's own library, characters."""
import importlib
import inspect
import math
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "character language model"
FAULTS = {
    "mask_missing": ("the causal mask is not handed to the attention", ["target_leak"], True),
    "targets_unshifted": ("targets are the input itself", ["target_leak", "label_leak"], True),
    "two_ahead": ("inputs [:-2], targets [2:]: one token is left out", ["label_mismatch", "target_leak"], True),
    "tie_by_clone": ("head.weight = Parameter(embedding.weight.clone()) in place of tying", ["ties_broken"], True),
    "lr_tenth": ("learning rate 0.2 with AdamW", ["learning_rate_too_high", "diverging", "not_learning", "updates_out_of_range"], True),
    "init_std_one": ("all weights are drawn with std 1", ["initial_outputs_too_large", "exploding_gradient"], True),
    "val_from_train": ("the validation text is the beginning of the training text", ["leaked_split", "validation_is_training"], True),
}
HABITS = {"": "tied weights, evaluation each 25 steps", "restarts": "cosine with warm restarts", "bits_no_val": "bits per character each 10 steps, no validation"}
N, D, T = 96, 64, 40


def corpus():
    text = []
    for name in "argparse ast asyncio calendar collections csv datetime decimal difflib email fractions functools heapq inspect itertools json logging os pathlib random re shutil socket statistics string subprocess textwrap threading typing unittest".split():
        module = importlib.import_module(name)
        text.append(inspect.getdoc(module) or "")
        for key in sorted(vars(module)):
            value = vars(module)[key]
            if inspect.isroutine(value) or inspect.isclass(value):
                text.append(inspect.getdoc(value) or "")
    data = "\n".join(text)
    return torch.tensor([min(max(ord(c) - 31, 0), N - 1) if c != "\n" else 0 for c in data])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.proj = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.mlp = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))

    def forward(self, x, causal):
        b, t, _ = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, t, 3, 4, D // 4).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        x = x + self.proj(a.transpose(1, 2).reshape(b, t, D))
        return x + self.mlp(self.n2(x))


class LM(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.tok, self.pos = nn.Embedding(N, D), nn.Embedding(T, D)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.norm, self.head = nn.LayerNorm(D), nn.Linear(D, N, bias=False)
        self.causal = fault != "mask_missing"
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, std=1. if fault == "init_std_one" else .05)
        self.head.weight = nn.Parameter(self.tok.weight.clone()) if fault == "tie_by_clone" else self.tok.weight

    def forward(self, x):
        h = self.tok(x) + self.pos(torch.arange(x.shape[1]))
        for block in self.blocks:
            h = block(h, self.causal)
        return self.head(self.norm(h))


def main():
    o = options()
    torch.manual_seed(2)
    data = corpus()
    cut = int(.9 * len(data))
    train, val = data[:cut], data[cut:]
    if o.fault == "val_from_train":
        train, val = data, data[:len(data) - cut]
    shift = {"targets_unshifted": 0, "two_ahead": 2}.get(o.fault, 1)

    def batch(text, n):
        start = torch.randint(len(text) - T - 2, (n,))
        w = text[start[:, None] + torch.arange(T + 2)]
        return w[:, :T], w[:, shift:shift + T]

    model = LM(o.fault)
    lr = .2 if o.fault == "lr_tenth" else 4e-3
    opt = torch.optim.AdamW(model.parameters(), lr=lr)
    steps = 200
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, 100) if o.habit == "restarts" else torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min(1, (s + 1) / 20))
    with lvmcheck.record(o.out, config={"steps": steps, "lr": lr, "vocabulary": N}, seed=2) as rec:
        if o.watch:
            rec.watch(model, opt, scheduler)
        for step in range(steps):
            x, y = batch(train, 16)
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
            opt.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.)
            opt.step()
            rate = opt.param_groups[0]["lr"]
            scheduler.step()
            if o.habit == "bits_no_val":
                rec.step(loss=loss.detach(), lr=rate)
                if step % 10 == 9:
                    rec.log(bits_per_char=loss.item() / math.log(2))
                continue
            rec.step(loss=loss.detach(), lr=rate, grad_norm=norm)
            if step % 25 == 24:
                model.eval()
                with torch.no_grad():
                    vl = 0.
                    for _ in range(2):
                        x, y = batch(val, 32)
                        vl += F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item() / 2
                model.train()
                rec.log(val_loss=vl)
    with torch.no_grad():
        x, y = batch(val, 128)
        vl = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        p = torch.bincount(train, minlength=N) / len(train)
    facts(score=vl, trivial=-(p[p > 0] * p[p > 0].log()).sum(), lower_is_better=True, chars=len(data))


if __name__ == "__main__":
    main()
