"""Cox regression with a small net, on simulated patients."""
import torch
from torch import nn
import lvmcheck
from .common import moved, snapshot

TASK = "survival analysis"


def cohort(n, g):
    x = torch.randn(n, 12, generator=g)
    risk = x[:, 0] - 0.8 * x[:, 1] + 0.7 * x[:, 2].abs() + 0.6 * x[:, 3] * x[:, 4]
    t = -torch.log(torch.rand(n, generator=g)) / risk.exp()
    c = -torch.log(torch.rand(n, generator=g)) * 1.5
    return x, torch.minimum(t, c), (t <= c).float()


def cox(score, time, event, bug=None):
    order = torch.argsort(time, descending=bug != "risk_set_reversed")
    s, e = score[order], event[order]
    logsum = torch.logcumsumexp(s, 0)
    return -((s - logsum) * e).sum() / e.sum().clamp(min=1)


def concordance(score, time, event):
    later = time[None] > time[:, None]
    ok = later & (event[:, None] == 1)
    d = score[:, None] - score[None]
    return float(((d > 0)[ok].float() + 0.5 * (d == 0)[ok].float()).mean())


def main(rec_dir, watch, broken=None, habit=None):
    g = torch.Generator().manual_seed(2)
    torch.manual_seed(2)
    xs, ts, es = cohort(1600, g)
    xv, tv, ev = cohort(400, g)
    layers = nn.Sequential(nn.Linear(12, 48), nn.Tanh(), nn.Dropout(0.1), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 1, bias=False))
    before = snapshot(layers)
    learning_rate = 3e-3
    optim = torch.optim.RMSprop(layers.parameters(), lr=learning_rate)
    if broken == "scheduler_absolute":
        sched = torch.optim.lr_scheduler.LambdaLR(optim, lambda e: learning_rate * 0.95 ** e)
    else:
        sched = torch.optim.lr_scheduler.LambdaLR(optim, lambda e: 0.95 ** e)
    cv = None
    size = 64 if habit == "small_batches" else 400
    rounds = 10 if habit == "small_batches" else 40
    run = lvmcheck.record(rec_dir, config={"rounds": rounds, "eta": learning_rate, "cohort": 1600})
    with run:
        if watch:
            run.watch(layers, optim, sched, val=(xv, tv))
        for r in range(rounds):
            layers.train()
            for idx in torch.randperm(1600).split(size):
                f = layers(xs[idx]).squeeze(-1)
                ee = es[idx]
                if broken == "event_flag_inverted":
                    ee = 1 - ee
                loss = cox(f, ts[idx], ee, broken)
                if broken == "sign":
                    loss = -loss
                if broken == "fresh_optimizer":
                    optim = torch.optim.RMSprop(layers.parameters(), lr=learning_rate, alpha=0.999999)
                if broken == "loss_rewrapped":
                    loss = torch.tensor(loss.item(), requires_grad=True)
                optim.zero_grad()
                loss.backward()
                optim.step()
                run.step(loss=float(loss))
            sched.step()
            layers.eval()
            with torch.no_grad():
                fv = layers(xv).squeeze(-1)
            layers.train()
            cv = concordance(fv, tv, ev)
            if broken == "concordance_with_itself":
                cv = concordance(-tv, tv, ev)
            extra = {} if habit == "c_index_only" else {"val_nll": cox(fv, tv, ev).item()}
            run.epoch(r, c_index=cv, **extra)
    layers.eval()
    with torch.no_grad():
        s = concordance(layers(xv).squeeze(-1), tv, ev)
    return dict(score=s, trivial=0.5, good=0.68, reported=cv, moved=moved(before, layers))


HEALTHY = {
    "base": "Cox loss over batches of 400 patients",
    "small_batches": "small risk sets make the loss noisy",
    "c_index_only": "only the concordance is logged",
}
BROKEN = [
    ("risk_set_reversed", "patients are sorted the wrong way, so risk sets hold those who are gone", "sorted in the wrong order", "both"),
    ("event_flag_inverted", "the censoring flag is taken for the event flag", "mask inverted", "curves"),
    ("sign", "the likelihood is minimised", "loss has the wrong sign", "both"),
    ("loss_rewrapped", "the loss is rebuilt from its number with requires_grad=True", "the graph is cut at the loss", "both", "r['moved']==0"),
    ("scheduler_absolute", "LambdaLR returns a rate, not a factor, so the rate is squared", "schedule multiplies the rate by itself", "both"),
    ("concordance_with_itself", "concordance is computed from the true times", "metric computed from the targets", "curves"),
]
