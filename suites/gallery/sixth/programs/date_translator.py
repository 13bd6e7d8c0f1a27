"""Written dates to ISO dates with an encoder-decoder transformer; logs like the Hugging Face Trainer."""
import json
import os
import random
import torch
from torch import nn
import torch.nn.functional as F
from common import options, facts

TASK = "translation (encoder-decoder)"
RECORDER = False
FAULTS = {
    "decoder_mask_missing": ("the decoder sees later target tokens", ["target_leak"], False),
    "decoder_fed_labels": ("the decoder is fed the labels, not the labels shifted right", ["target_leak", "label_leak"], False),
    "lr_micro": ("learning rate 2e-7", ["learning_rate_too_low", "not_learning", "undertrained"], False),
    "loss_on_padding": ("padding is not ignored in the loss and the token accuracy, and targets are padded to 40", ["padding_counted"], False),
    "half_the_steps": ("the linear decay was computed for 100 steps, the run has 300", ["schedule_ended_early"], False),
    "sources_resorted": ("the sources are sorted by length, the targets are not", ["label_mismatch", "not_learning", "memorisation", "overfitting"], False),
}
HABITS = {"": "linear decay, evaluated by greedy decoding", "smoothed": "label smoothing 0.2: the loss ends far above 0", "no_eval": "no evaluation, logged each 5 steps"}
MONTHS = "january february march april may june july august september october november december".split()
CH = {c: i + 3 for i, c in enumerate("0123456789-abcdefghijklmnopqrstuvwxyz ,.")}
S, D = 20, 64


def pairs(n, rnd, width):
    src, tgt = torch.zeros(n, S, dtype=torch.long), torch.zeros(n, width, dtype=torch.long)
    for i in range(n):
        y, m, d = rnd.randint(1950, 2049), rnd.randint(1, 12), rnd.randint(1, 28)
        name = MONTHS[m - 1][:3]
        text = rnd.choice([f"{d} {name} {y}", f"{name} {d}, {y}", f"{d}.{m}.{y}", f"{name}. {d} {y % 100}"])
        if "." in text and text.endswith(f" {y % 100}"):
            text = f"{name}. {d} {y}"
        ids = [CH[c] for c in text]
        src[i, :len(ids)] = torch.tensor(ids)
        out = [CH[c] for c in f"{y}-{m:02d}-{d:02d}"] + [2]
        tgt[i, :len(out)] = torch.tensor(out)
    return src, tgt


class Model(nn.Module):
    def __init__(self, causal, width):
        super().__init__()
        self.causal = causal
        self.emb, self.ps, self.pt = nn.Embedding(50, D), nn.Embedding(S, D), nn.Embedding(width, D)
        self.enc = nn.TransformerEncoderLayer(D, 4, 128, 0., batch_first=True)
        self.dec = nn.TransformerDecoderLayer(D, 4, 128, 0., batch_first=True)
        self.out = nn.Linear(D, 50)

    def encode(self, s):
        return self.enc(self.emb(s) + self.ps.weight, src_key_padding_mask=s == 0)

    def decode(self, memory, s, t):
        n = t.shape[1]
        mask = torch.triu(torch.ones(n, n, dtype=torch.bool), 1) if self.causal else None
        return self.out(self.dec(self.emb(t) + self.pt.weight[:n], memory, tgt_mask=mask, memory_key_padding_mask=s == 0))


def main():
    o = options()
    torch.manual_seed(8)
    rnd = random.Random(8)
    width = 40 if o.fault == "loss_on_padding" else 11
    src, tgt = pairs(5000, rnd, width)
    vs, vt = pairs(256, rnd, width)
    if o.fault == "sources_resorted":
        src = src[(src > 0).sum(1).argsort(stable=True)]
    model = Model(o.fault != "decoder_mask_missing", width)
    lr = 2e-7 if o.fault == "lr_micro" else 2e-3
    opt = torch.optim.AdamW(model.parameters(), lr=lr)
    steps = 300
    planned = 100 if o.fault == "half_the_steps" else steps
    sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min((s + 1) / 20, max(0., 1 - s / planned)))
    ignore = -100 if o.fault == "loss_on_padding" else 0
    smooth = .2 if o.habit == "smoothed" else 0.

    def forward(s, t):
        given = t if o.fault == "decoder_fed_labels" else torch.cat([torch.ones(len(t), 1, dtype=torch.long), t[:, :-1]], 1)
        return model.decode(model.encode(s), s, given)

    def loss_of(out, t):
        return F.cross_entropy(out.flatten(0, 1), t.flatten(), ignore_index=ignore, label_smoothing=smooth)

    history, window = [], []
    every = 5 if o.habit == "no_eval" else 20
    for step in range(1, steps + 1):
        rows = torch.randint(0, len(src), (64,))
        loss = loss_of(forward(src[rows], tgt[rows]), tgt[rows])
        opt.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.).item()
        rate = opt.param_groups[0]["lr"]
        opt.step()
        sched.step()
        window.append(loss.item())
        if step % every == 0:
            history.append({"loss": round(sum(window) / len(window), 4), "grad_norm": norm, "learning_rate": rate, "epoch": round(step * 64 / len(src), 3), "step": step})
            window = []
        if step % 50 == 0 and (o.habit != "no_eval" or step == steps):
            model.eval()
            with torch.no_grad():
                out = forward(vs, vt)
                el = loss_of(out, vt).item()
                count = torch.ones_like(vt, dtype=torch.bool) if ignore == -100 else vt > 0
                token = (out.argmax(2) == vt)[count].float().mean().item()
                memory, given = model.encode(vs), torch.ones(len(vs), 1, dtype=torch.long)
                for _ in range(10):
                    given = torch.cat([given, model.decode(memory, vs, given)[:, -1].argmax(1, keepdim=True)], 1)
                exact = (given[:, 1:] == vt[:, :10]).all(1).float().mean().item()
            model.train()
            if o.habit != "no_eval":
                history.append({"eval_loss": el, "eval_token_accuracy": token, "eval_exact_match": exact, "epoch": round(step * 64 / len(src), 3), "step": step})
    os.makedirs(o.out, exist_ok=True)
    with open(os.path.join(o.out, "trainer_state.json"), "w") as f:
        json.dump({"epoch": history[-1]["epoch"], "global_step": steps, "max_steps": steps, "num_train_epochs": 4, "logging_steps": every,
                   "is_local_process_zero": True, "log_history": history}, f, indent=1)
    facts(score=exact, trivial=0, token=token, eval_loss=el)


if __name__ == "__main__":
    main()
