"""DQN on a pole that has to be balanced; sixteen poles side by side."""
import copy
import math

import torch
from torch import nn
from torch.nn.functional import smooth_l1_loss

import lvmcheck
from common import options

torch.set_num_threads(1)


class Poles:
    def __init__(self, n, limit=200):
        self.n, self.limit = n, limit
        self.s = self.start(n)
        self.t = torch.zeros(n)

    def start(self, n):
        return 0.1 * torch.rand(n, 4) - 0.05

    def step(self, action):
        x, v, th, w = self.s.unbind(1)
        force = torch.where(action == 1, 10.0, -10.0)
        c, sn = th.cos(), th.sin()
        tmp = (force + 0.05 * w * w * sn) / 1.1
        acc = (9.8 * sn - c * tmp) / (0.5 * (4 / 3 - 0.1 * c * c / 1.1))
        xa = tmp - 0.05 * acc * c / 1.1
        h = 0.02
        new = torch.stack([x + h * v, v + h * xa, th + h * w, w + h * acc], 1)
        self.s.copy_(new)
        self.t += 1
        fallen = (new[:, 0].abs() > 2.4) | (new[:, 2].abs() > 12 * math.pi / 180)
        return self.s, torch.ones(self.n), fallen, self.t >= self.limit

    def reset(self, where):
        lengths = self.t[where].tolist()
        self.s[where] = self.start(int(where.sum()))
        self.t[where] = 0
        return lengths


class Replay:
    def __init__(self, size):
        self.s, self.s2 = torch.zeros(size, 4), torch.zeros(size, 4)
        self.a, self.r, self.d = torch.zeros(size, dtype=torch.long), torch.zeros(size), torch.zeros(size)
        self.size, self.n, self.at = size, 0, 0

    def add(self, s, a, r, s2, d):
        rows = (self.at + torch.arange(len(s))) % self.size
        self.s[rows], self.a[rows], self.r[rows], self.s2[rows], self.d[rows] = s, a, r, s2, d.float()
        self.at = (self.at + len(s)) % self.size
        self.n = min(self.size, self.n + len(s))

    def sample(self, k):
        rows = torch.randint(self.n, (k,))
        return self.s[rows], self.a[rows], self.r[rows], self.s2[rows], self.d[rows]


class PlainAdam(torch.optim.Optimizer):
    """Our own RMS-scaled momentum."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                st = self.state[p]
                if not st:
                    st["m"], st["v"], st["t"] = torch.zeros_like(p), torch.zeros_like(p), 0
                st["t"] += 1
                st["m"].mul_(0.9).add_(p.grad, alpha=0.1)
                st["v"].mul_(0.99).addcmul_(p.grad, p.grad, value=0.01)
                scale = math.sqrt(1 - 0.99 ** st["t"]) / (1 - 0.9 ** st["t"])
                p.addcdiv_(st["m"], st["v"].sqrt() + 1e-7, value=-group["lr"] * scale)


def evaluate(q):
    env = Poles(20)
    alive = torch.ones(20, dtype=torch.bool)
    length = torch.zeros(20)
    with torch.no_grad():
        for _ in range(200):
            _, _, fallen, _ = env.step(q(env.s).argmax(1))
            alive &= ~fallen
            length += alive
            if not alive.any():
                break
    return length.mean().item()


def main():
    o = options()
    torch.manual_seed(4)
    steps, gamma, lr = 1300, 0.97, 1e-3
    q = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    target = copy.deepcopy(q)
    opt = PlainAdam(q.parameters(), lr) if o.habit == "own_optimizer" else torch.optim.Adam(q.parameters(), lr=lr)
    env, memory, finished = Poles(16), Replay(10000), []
    with lvmcheck.record(o.out, config=dict(steps=steps, gamma=gamma, lr=lr, sync=60), **o.extra) as rec:
        for step in range(1, steps + 1):
            eps = max(0.05, 1 - step / (0.3 * steps))
            if o.fault == "eps_units":
                eps = max(0.05, 1 - step / 100_000)
            s = env.s if o.fault == "aliased_state" else env.s.clone()
            with torch.no_grad():
                greedy = q(s).argmax(1)
            action = torch.where(torch.rand(16) < eps, torch.randint(2, (16,)), greedy)
            s2, reward, fallen, late = env.step(action)
            memory.add(s, action, reward, s2, fallen)
            if (fallen | late).any():
                finished += env.reset(fallen | late)
            if step < 40:
                continue
            bs, ba, br, bs2, bd = memory.sample(64)
            with torch.no_grad():
                if o.habit == "double":
                    best = target(bs2).gather(1, q(bs2).argmax(1, keepdim=True)).squeeze(1)
                else:
                    best = target(bs2).max(1).values
                if o.fault == "no_done":
                    y = br + gamma * best
                else:
                    y = br + gamma * best * (1 - bd)
            if o.fault == "broadcast":
                value = q(bs).gather(1, ba.unsqueeze(1))
            elif o.fault == "max_not_taken":
                value = q(bs).max(1).values
            else:
                value = q(bs).gather(1, ba.unsqueeze(1)).squeeze(1)
            loss = smooth_l1_loss(value, y)
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(q.parameters(), 10)
            opt.step()
            if o.habit == "double":
                with torch.no_grad():
                    for a, b in zip(target.parameters(), q.parameters()):
                        a.lerp_(b, 0.01)
            elif step % 60 == 0 and o.fault != "target_never_synced":
                target.load_state_dict(q.state_dict())
            rec.step(loss=loss, q_mean=value.mean())
            if step % 130 == 0:
                recent = finished[-50:]
                rec.log(ep_len=sum(recent) / max(1, len(recent)), eval_return=evaluate(q), epsilon=eps)


main()
