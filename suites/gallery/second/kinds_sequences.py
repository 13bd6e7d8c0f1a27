"""Unusual kinds of sequences: forecasts, masked tokens, CTC, teacher forcing, experts."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


# -- forecasts -----------------------------------------------------------------------------------------------------------
def forecast(
    rec: Recorder,
    bug: str = "",
    wave: float = 2.0,
    epochs: int = 12,
    log: str = "epochs",
    shuffle: bool = True,
    residual: bool = False,
    lr: float = 2e-3,
) -> None:
    n = 1500
    t = torch.arange(n).float()
    s = wave * torch.sin(t / 4) + wave / 2 * torch.sin(t / 11) + 0.3 * torch.randn(n).cumsum(0) + 0.2 * torch.randn(n)
    cut = 1200
    mean, std = s[:cut].mean(), s[:cut].std()
    z = (s - mean) / std
    if bug == "val_raw":
        z = torch.cat([z[:cut], s[cut:] * 3 + 10])
    w = z.unfold(0, 25, 1)
    x, y = w[:, :24].clone(), w[:, 24:]
    if bug == "leak":
        x = w[:, 1:25].clone()
    a, b = slice(0, cut - 24), slice(cut, len(w))
    x0, y0, x1, y1 = x[a], y[a], x[b], y[b]
    net = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 1))
    opt: torch.optim.Optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    if bug == "accumulate":
        opt = torch.optim.SGD(net.parameters(), lr=0.01)
    step = 0
    persistence = (w[b][:, 23:24] - y1).abs().mean()
    for epoch in range(1, epochs + 1):
        total, n = 0.0, 0
        for i in (torch.randperm(len(x0)) if shuffle else torch.arange(len(x0))).split(32):
            loss = F.mse_loss(net(x0[i]) + residual * x0[i][:, -1:], y0[i])
            if bug != "accumulate":
                opt.zero_grad()
            loss.backward()
            norm = sum(float(p.grad.norm()) ** 2 for p in net.parameters() if p.grad is not None) ** 0.5
            opt.step()
            total, n, step = total + loss.item(), n + 1, step + 1
            if log == "steps":
                rec.step(loss=loss, grad_norm=norm, samples=len(i))
        with torch.no_grad():
            out = net(x1) + residual * x1[:, -1:]
            mae, mse = (out - y1).abs().mean(), F.mse_loss(out, y1)
            r2 = 1 - mse / y1.var()
        if log == "epochs":
            rec.epoch(epoch, train_mse=total / n, val_mse=mse, val_mae=mae, persistence_mae=persistence)
        elif log == "r2":
            rec.epoch(epoch, loss=total / n, val_loss=mse, val_r2=r2)
        else:
            rec.epoch(epoch, val_mae=mae)


# -- masked tokens -------------------------------------------------------------------------------------------------------
def masked(rec: Recorder, bug: str = "", steps: int = 400, words: int = 12, warm: int = 60) -> None:
    table = torch.softmax(2.5 * torch.randn(words, words), 1)
    text = torch.zeros(900, 16, dtype=torch.long)
    text[:, 0] = torch.randint(words, (900,))
    for j in range(1, 16):
        text[:, j] = torch.multinomial(table[text[:, j - 1]], 1)[:, 0]
    emb, pos = nn.Embedding(words + 1, 32), nn.Parameter(0.1 * torch.randn(16, 32))
    layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True)
    out = nn.Linear(32, words)
    params = [*emb.parameters(), pos, *layer.parameters(), *out.parameters()]
    opt = torch.optim.AdamW(params, lr=4e-3)
    total = steps // 5 if bug == "total" else steps
    speed = 30 if bug == "warm_epochs" else 1

    def factor(k: int) -> float:
        k = k // speed
        return min((k + 1) / warm, max(0.0, (total - k) / (total - warm)))

    plan = torch.optim.lr_scheduler.LambdaLR(opt, factor)

    def run(ids: torch.Tensor, hide: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen = ids.masked_fill(hide, words)
        logit = out(layer(emb(seen) + pos))
        label = ids if bug == "all_tokens" else ids.masked_fill(~hide, -100)
        return F.cross_entropy(logit.flatten(0, 1), label.flatten()), (logit.argmax(-1) == ids)[hide].float().mean()

    for step in range(1, steps + 1):
        ids = text[torch.randint(800, (20,))]
        loss, _ = run(ids, torch.rand(ids.shape) < 0.15)
        opt.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        rec.step(loss=loss, lr=plan.get_last_lr()[0], grad_norm=norm)
        plan.step()
        if step % 40 == 0:
            with torch.no_grad():
                val, hit = run(text[800:], torch.rand(100, 16) < 0.15)
            rec.log({"eval_loss": val, "eval_ppl": val.exp(), "eval_masked_acc": hit}, step=step)


# -- CTC -------------------------------------------------------------------------------------------------------------------
def _distance(a: list[int], b: list[int]) -> int:
    row = list(range(len(b) + 1))
    for i, u in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, v in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (u != v))
    return row[-1]


def ctc(rec: Recorder, bug: str = "", epochs: int = 12, lr: float = 3e-3) -> None:
    n, k = 500, 8
    words = torch.randint(1, k + 1, (n, 4))
    code = torch.randn(k + 1, 12)
    frames = code[words].repeat_interleave(4, 1) + 0.6 * torch.randn(n, 16, 12)
    net = nn.Sequential(
        nn.Conv1d(12, 48, 5, padding=2), nn.ReLU(), nn.Conv1d(48, 48, 3, padding=1), nn.ReLU(), nn.Conv1d(48, k + 1, 1)
    )
    opt = torch.optim.Adam(net.parameters(), lr=lr)
    lengths = torch.full((n,), 16)
    if bug == "short":
        lengths = lengths // 8
    four = torch.full((n,), 4)
    if bug == "labels":
        words[:400] = words[:400][torch.randperm(400)]

    def run(i: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logp = net(frames[i].transpose(1, 2)).permute(2, 0, 1).log_softmax(2)
        return F.ctc_loss(logp, words[i], lengths[i], four[i], blank=0), logp

    for epoch in range(epochs):
        total = 0.0
        for i in torch.randperm(400).split(20):
            loss, _ = run(i)
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 20
        with torch.no_grad():
            val, logp = run(torch.arange(400, n))
        wrong = 0
        for row, want in zip(logp.argmax(2).T.tolist(), words[400:].tolist(), strict=True):
            got = [v for j, v in enumerate(row) if v and (j == 0 or v != row[j - 1])]
            wrong += _distance(got, want)
        rec.epoch(epoch, ctc_loss=total, val_ctc_loss=val, val_wer=wrong / 400)


# -- teacher forcing ---------------------------------------------------------------------------------------------------
def seq2seq(rec: Recorder, bug: str = "", epochs: int = 10, size: int = 5) -> None:
    n, k = 900, 8
    src = torch.randint(1, k + 1, (n, size))
    dst = src.flip(1)
    emb, enc = nn.Embedding(k + 1, 32), nn.GRU(32, 64, batch_first=True)
    dec, out = nn.GRU(32, 64, batch_first=True), nn.Linear(64, k + 1)
    params = [*emb.parameters(), *enc.parameters(), *dec.parameters(), *out.parameters()]
    opt = torch.optim.Adam(params, lr=5e-3)
    start = torch.zeros(n, 1, dtype=torch.long)
    fed = dst if bug == "not_shifted" else torch.cat([start, dst[:, :-1]], 1)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for i in torch.randperm(800).split(32):
            _, h = enc(emb(src[i]))
            logit = out(dec(emb(fed[i]), torch.zeros_like(h) if bug == "no_state" else h)[0])
            loss = F.cross_entropy(logit.flatten(0, 1), dst[i].flatten())
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(params, 1.0)
            opt.step()
            total += loss.item() / 25
        with torch.no_grad():
            _, h = enc(emb(src[800:]))
            h = torch.zeros_like(h) if bug == "no_state" else h
            token, made = start[800:], []
            for _ in range(size):
                step, h = dec(emb(token), h)
                token = out(step).argmax(2)
                made.append(token)
            made_ids = torch.cat(made, 1)
            same = made_ids == dst[800:]
        rec.epoch(epoch, train_loss=total, val_cer=1 - same.float().mean(), val_exact_match=same.all(1).float().mean())


# -- experts ---------------------------------------------------------------------------------------------------------------
def experts(rec: Recorder, bug: str = "", weight: float = 0.01, epochs: int = 10, skew: float = 0.0) -> None:
    x = torch.randn(2400, 10)
    y = torch.where(x[:, 0] > 0, x[:, 1] * x[:, 2], torch.sin(2 * x[:, 3]) + x[:, 4])[:, None] + 0.05 * torch.randn(
        2400, 1
    )
    gate = nn.Linear(10, 4)
    with torch.no_grad():
        gate.bias[0] += skew
    bank = nn.ModuleList(nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1)) for _ in range(4))
    opt = torch.optim.Adam([*gate.parameters(), *bank.parameters()], lr=1e-2)

    def run(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        p = gate(v).softmax(1)
        top, which = p.max(1)
        load = F.one_hot(which, 4).float().mean(0)
        every = torch.stack([m(v)[:, 0] for m in bank], 1)
        answer = every.gather(1, which[:, None]) * top[:, None]
        balance = 4 * (load * p.mean(0)).sum()
        return answer, -balance if bug == "balance_sign" else balance, load

    for epoch in range(epochs):
        for i in torch.randperm(2000).split(50):
            answer, balance, _ = run(x[i])
            fit = F.mse_loss(answer, y[i])
            loss = fit + weight * balance
            opt.zero_grad()
            loss.backward()
            opt.step()
            rec.step(loss=loss, terms={"task": (1.0, fit), "balance": (weight, balance)})
        with torch.no_grad():
            answer, balance, load = run(x[2000:])
        rec.epoch(
            epoch, val_mse=F.mse_loss(answer, y[2000:]), val_balance=balance, max_load=load.max(), min_load=load.min()
        )


PROGRAMS = [
    broken(
        "forecast_leak",
        "the window ends with the value to predict",
        "target_leak",
        "the error is a hundredth of persistence",
        partial(forecast, bug="leak", residual=True),
        seed=1,
    ),
    broken(
        "forecast_val_raw",
        "validation not normalised",
        "validation_differs wrong_scale",
        "validation worse by orders from the first epoch, and persistence too",
        partial(forecast, bug="val_raw"),
        seed=2,
    ),
    broken(
        "forecast_accumulate",
        "zero_grad is missing",
        "gradients_not_cleared learning_rate_too_high exploding_gradient diverging numeric_range",
        "gradient norm grows, the loss swings, then NaN",
        partial(forecast, bug="accumulate", log="steps"),
        seed=3,
    ),
    healthy(
        "forecast_near_persistence",
        "a random walk: nothing beats the last value by much",
        partial(forecast, wave=0.9, residual=True, lr=4e-4),
        seed=4,
    ),
    healthy(
        "forecast_in_order",
        "stateful users do not shuffle: a wave inside each epoch",
        partial(forecast, shuffle=False, log="steps"),
        seed=5,
    ),
    healthy(
        "forecast_r2",
        "r2 starts low, validation below training",
        partial(forecast, log="r2"),
        seed=6,
        config={"epochs": 12, "lr": 2e-3, "window": 24},
    ),
    broken(
        "masked_all_tokens",
        "unmasked tokens are counted too",
        "target_leak",
        "the loss goes to a seventh while the masked tokens are hardly guessed",
        partial(masked, bug="all_tokens"),
        seed=1,
    ),
    broken(
        "masked_total",
        "the schedule ends after a fifth of the steps",
        "schedule_ended_early schedule_wrong learning_rate_zero",
        "lr is 0 from step 80 on",
        partial(masked, bug="total"),
        seed=2,
        config={"lr": 4e-3, "steps": 400},
    ),
    broken(
        "masked_warm_epochs",
        "the schedule is stepped 30 times too slowly",
        "schedule_wrong learning_rate_too_low",
        "lr is still warming up at the end",
        partial(masked, bug="warm_epochs"),
        seed=3,
        config={"lr": 4e-3, "steps": 400, "warmup_steps": 60},
    ),
    healthy("masked_plain", "perplexity stays high and noisy: the text is random", partial(masked), seed=4),
    broken(
        "ctc_short",
        "input lengths divided by 8: shorter than the targets",
        "numeric_range diverging exploding_gradient learning_rate_too_high not_learning metric_constant",
        "the loss is infinite",
        partial(ctc, bug="short"),
        seed=1,
    ),
    broken(
        "ctc_labels",
        "transcripts in another order than the recordings",
        "label_mismatch label_noise not_learning metric_constant",
        "loss stands at the level of guessing, error rate about 0.9 or 1",
        partial(ctc, bug="labels"),
        seed=2,
    ),
    healthy("ctc_blank_first", "error rate 1.0 while only blanks come out", partial(ctc, lr=1e-3), seed=3),
    broken(
        "seq2seq_not_shifted",
        "decoder is fed the token it has to say",
        "target_leak validation_differs overfitting",
        "training loss nothing, error rate at chance",
        partial(seq2seq, bug="not_shifted"),
        seed=1,
    ),
    broken(
        "seq2seq_no_state",
        "decoder does not get the encoder's state",
        "not_learning label_mismatch label_noise vanishing_gradient",
        "loss stays at log 8",
        partial(seq2seq, bug="no_state"),
        seed=2,
    ),
    healthy("seq2seq_exact_late", "exact match is 0 for long", partial(seq2seq, size=7), seed=3),
    broken(
        "experts_balance_sign",
        "balance loss subtracted",
        "loss_sign collapsed_representation dominant_term",
        "all rows go to one expert: load 1",
        partial(experts, bug="balance_sign", weight=1.0),
        seed=1,
    ),
    healthy("experts_balanced", "the balance term stays at its minimum of 1 throughout", partial(experts), seed=3),
    healthy(
        "experts_skewed",
        "one expert has half the rows, which is what the data want",
        partial(experts, weight=0.003, skew=0.5),
        seed=4,
    ),
]
