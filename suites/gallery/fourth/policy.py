"""Policy gradient: balance a pole, written out here."""
import numpy as np
import torch
import torch.nn as nn
from torch.distributions import Categorical
import lvmcheck
from .common import moved, snapshot

TASK = "policy gradient"


class Poles:
    """Sixteen poles at once."""

    def __init__(self, n, seed):
        self.rng, self.n = np.random.default_rng(seed), n

    def reset(self):
        self.s = self.rng.uniform(-.05, .05, (self.n, 4))
        return self.s.astype(np.float32)

    def step(self, a):
        x, v, th, w = self.s.T
        f = np.where(a == 1, 10., -10.)
        c, si = np.cos(th), np.sin(th)
        tmp = (f + .05 * w * w * si) / 1.1
        tacc = (9.8 * si - c * tmp) / (.5 * (4 / 3 - .1 * c * c / 1.1))
        xacc = tmp - .05 * tacc * c / 1.1
        dt = .03
        self.s = np.stack([x + dt * v, v + dt * xacc, th + dt * w, w + dt * tacc], 1)
        return self.s.astype(np.float32), (np.abs(self.s[:, 0]) > 2.4) | (np.abs(self.s[:, 2]) > .21)


def rollout(policy, env, T=100, greedy=False):
    s = env.reset()
    alive = np.ones(env.n, bool)
    S, A, M = [], [], []
    for _ in range(T):
        with torch.no_grad():
            lg = policy(torch.from_numpy(s))
        a = lg.argmax(-1) if greedy else Categorical(logits=lg).sample()
        S.append(torch.from_numpy(s)); A.append(a); M.append(torch.from_numpy(alive.astype(np.float32)))
        s, dead = env.step(a.numpy())
        alive = alive & ~dead
        if not alive.any():
            break
    return torch.stack(S), torch.stack(A), torch.stack(M)


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(9)
    env, judge = Poles(16, 0), Poles(64, 1)
    pi = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
    vf = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))
    p0, v0 = snapshot(pi), snapshot(vf)
    opt = torch.optim.Adam(pi.parameters(), lr=1e-2)
    vopt = torch.optim.Adam(vf.parameters(), lr=1e-2)
    first = rollout(pi, judge)[2].sum(0).mean().item()
    iters = 60
    if broken == "entropy_weight_huge":
        ent_w = 50.0
    else:
        ent_w = 0.02 if habit == "entropy_bonus" else 0.0
    with lvmcheck.record(rec_dir, config={"iterations": iters, "lr": 1e-2, "gamma": .97, "envs": 16}) as rec:
        if watch:
            rec.watch(pi, opt)
        for it in range(iters):
            S, A, M = rollout(pi, env)
            R = torch.zeros_like(M)
            acc = torch.zeros(16)
            steps = range(len(M)) if broken == "rewards_summed_forwards" else reversed(range(len(M)))
            for t in steps:
                acc = M[t] + .97 * acc * (M[t] if broken != "rewards_summed_forwards" else 1)
                R[t] = acc
            base = vf(S)[..., 0]
            adv = (R - base).detach()
            if habit == "no_baseline" :
                adv = R - R.mean()
            on = M.bool()
            adv = (adv - adv[on].mean()) / (adv[on].std() + 1e-6)
            if broken == "advantage_centred_away":
                adv = adv - adv
            dist = Categorical(logits=pi(S))
            acts = dist.sample() if broken == "actions_resampled" else A
            lp = dist.log_prob(acts)
            if broken == "log_prob_detached":
                lp = lp.detach().requires_grad_()
            objective = (lp * adv)[on].mean()
            loss = (objective if broken == "sign" else -objective) - ent_w * dist.entropy()[on].mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            if habit != "no_baseline":
                for _ in range(5):
                    vl = ((vf(S)[..., 0] - R) ** 2)[on].mean()
                    vopt.zero_grad(); vl.backward(); vopt.step()
            ret = M.sum(0).mean()
            if habit == "returns_only":
                rec.step(loss=loss.item(), mean_return=ret)
            else:
                rec.step(loss=loss.item(), episode_return=ret, entropy=dist.entropy()[on].mean())
            if it % 10 == 9:
                shown = rollout(pi, judge)[2].sum(0).mean().item()
                if broken == "return_of_first_episode_kept":
                    shown = first
                rec.epoch(it // 10, eval_return=shown)
    final = rollout(pi, judge)[2].sum(0).mean().item()
    return dict(score=final, trivial=first, good=50., reported=shown, pi=moved(p0, pi), vf=moved(v0, vf))


HEALTHY = {
    "base": "noisy returns, a loss around zero that says nothing",
    "entropy_bonus": "a small entropy bonus",
    "no_baseline": "plain returns without a value net",
    "returns_only": "returns and loss only",
}
BROKEN = [
    ("rewards_summed_forwards", "rewards are summed forwards in time", "sum in the wrong direction of time", "both"),
    ("advantage_centred_away", "the advantage is subtracted from itself", "a factor of the loss is zero", "both"),
    ("actions_resampled", "log probabilities of freshly drawn actions, not of those taken", "targets are independent of the inputs", "both"),
    ("log_prob_detached", "log probabilities are detached", "part of the graph is detached", "both", "r['pi']==0"),
    ("sign", "the minus before the objective is missing", "loss has the wrong sign", "both"),
    ("entropy_weight_huge", "the entropy bonus weighs 50", "a loss term has the wrong weight", "both"),
    ("return_of_first_episode_kept", "the return of the untrained policy is reported each time", "stale validation figures", "curves"),
]
