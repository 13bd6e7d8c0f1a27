"""Masked language model on the token kinds of standard library sources."""
import inspect, io, keyword, json.decoder, textwrap, argparse, difflib, heapq, tokenize
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "masked language model"
FAULTS = {
    "all_positions_scored": ("labels of unmasked tokens are not set to -100, so copying is scored", ["labels_masked_wrongly", "label_leak", "target_leak", "padding_counted"], True),
    "mask_inverted": ("the loss is taken where nothing was masked", ["labels_masked_wrongly", "label_leak", "target_leak"], True),
    "softmax_over_batch": ("attention weights are normalised over the batch", ["rows_mix"], True),
    "no_eval": ("model.eval() is missing, dropout 0.3 stays on", ["eval_missing", "dropout_in_eval"], True),
    "warm_up_5000": ("warm-up of 5,000 steps in a run of 160", ["schedule_wrong", "learning_rate_too_low", "scheduler_at_wrong_pace", "undertrained"], True),
    "same_batch": ("next(iter(loader)) inside of the loop, without shuffling", ["one_batch_repeated", "overfitting", "memorisation", "validation_differs"], True),
    "rate_not_given": ("the schedule is computed and logged, the optimizer is made with lr=1e-7", ["lr_not_wired", "learning_rate_too_low", "updates_out_of_range", "not_learning"], True),
}
HABITS = {"": "masked tokens, evaluated every 16 steps", "smoothed": "label smoothing 0.1 in training only", "bf16": "autocast to bfloat16",
          "tied": "output weights tied to the embedding"}


class Block(nn.Module):
    def __init__(self, d, wrong):
        super().__init__()
        self.qkv, self.out, self.n1, self.n2 = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.ff = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Dropout(.3 if wrong == "no_eval" else .05), nn.Linear(2 * d, d))
        self.dim = 0 if wrong == "softmax_over_batch" else -1

    def forward(self, x):
        q, k, v = [t.reshape(*t.shape[:2], 4, -1).transpose(1, 2) for t in self.qkv(self.n1(x)).chunk(3, -1)]
        a = (q @ k.transpose(-1, -2) / q.shape[-1] ** .5).softmax(self.dim)
        x = x + self.out((a @ v).transpose(1, 2).flatten(2))
        return x + self.ff(self.n2(x))


class MLM(nn.Module):
    def __init__(self, v, wrong, tied, d=48):
        super().__init__()
        self.tok, self.pos = nn.Embedding(v + 1, d), nn.Embedding(24, d)
        nn.init.normal_(self.tok.weight, std=.35 if tied else .5)
        self.blocks = nn.Sequential(*[Block(d, wrong) for _ in range(2)])
        self.near = nn.Conv1d(d, d, 5, padding=2)
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, v + 1)
        if tied:
            self.head.weight = self.tok.weight

    def forward(self, t):
        x = self.tok(t) + self.pos.weight[:t.shape[1]]
        x = x + F.gelu(self.near(x.transpose(1, 2)).transpose(1, 2))
        return self.head(self.norm(self.blocks(x)))


def main():
    o = options()
    torch.manual_seed(0)
    kinds = []
    for m in (textwrap, json.decoder, argparse, difflib, heapq, tokenize):
        for t in tokenize.generate_tokens(io.StringIO(inspect.getsource(m)).readline):
            if t.type in (tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER):
                continue
            named = t.type == tokenize.OP or keyword.iskeyword(t.string) or t.string == "self"
            kinds.append(t.string if named else tokenize.tok_name[t.type])
    chars = sorted(set(kinds))
    ids = torch.tensor([chars.index(k) for k in kinds])
    V = len(chars)
    rows = ids[:len(ids) // 24 * 24].view(-1, 24)
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))]
    train, held = rows[:-200], rows[-200:]
    gen = torch.Generator().manual_seed(2)
    fixed = torch.rand(held.shape, generator=torch.Generator().manual_seed(5)) < .15

    def corrupt(b, m):
        x = torch.where(m, torch.full_like(b, V), b)
        if o.fault == "all_positions_scored":
            return x, b
        return x, torch.where(~m if o.fault == "mask_inverted" else m, b, torch.full_like(b, -100))
    model = MLM(V, o.fault, o.habit == "tied")
    steps, peak = 160, 4e-3
    warm = 5000 if o.fault == "warm_up_5000" else 30
    rate = lambda s: min(1., (s + 1) / warm) * (1. if s < warm else max(.05, (steps - s) / (steps - warm)))
    opt = torch.optim.AdamW(model.parameters(), lr=1e-7 if o.fault == "rate_not_given" else peak)
    sched = torch.optim.lr_scheduler.LambdaLR(opt, rate)
    loader = torch.utils.data.DataLoader(train, batch_size=32, shuffle=o.fault != "same_batch", drop_last=True)

    def endless():
        while True:
            yield from loader
    stream = endless()
    with lvmcheck.record(o.out, config={"lr": peak, "steps": steps, "warmup": warm, "mask": .15}) as rec:
        if o.watch:
            rec.watch(model, opt, sched, train=loader, val=torch.utils.data.DataLoader(held, batch_size=200))
        for s in range(steps):
            b = next(iter(loader)) if o.fault == "same_batch" else next(stream)
            x, y = corrupt(b, torch.rand(b.shape, generator=gen) < .15)
            with torch.autocast("cpu", torch.bfloat16, enabled=o.habit == "bf16"):
                logits = model(x)
            loss = F.cross_entropy(logits.float().flatten(0, 1), y.flatten(), label_smoothing=.1 if o.habit == "smoothed" else 0.)
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
            rec.step(loss=loss.item(), lr=peak * rate(s) if o.fault == "rate_not_given" else opt.param_groups[0]["lr"])
            if s % 16 == 15:
                if o.fault != "no_eval":
                    model.eval()
                with torch.no_grad():
                    x, y = corrupt(held, fixed)
                    z, k = model(x), y != -100
                    rec.log({"eval_loss": F.cross_entropy(z.flatten(0, 1), y.flatten()).item(),
                             "eval_accuracy": (z.argmax(-1) == y)[k].float().mean().item()}, step=s + 1)
                model.train()
    model.eval()
    with torch.no_grad():
        z = model(torch.where(fixed, torch.full_like(held, V), held))
    p = torch.bincount(train.flatten(), minlength=V).float()
    p = p / p.sum()
    facts(score=-F.cross_entropy(z[fixed], held[fixed]), trivial=(p * p.clamp(min=1e-9).log()).sum())


if __name__ == "__main__":
    main()
