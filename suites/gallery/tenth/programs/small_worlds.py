"""Agents in a 5 x 5 grid and on a cart-like balance, by four algorithms."""
import argparse
import copy
from collections import deque

import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--habit", default="reinforce")
a = p.parse_args()
torch.manual_seed(9)
torch.set_num_threads(1)


class Balance:
    """Many independent poles; push left or right; an episode ends when it falls or after 60 steps."""

    def __init__(self, n):
        self.n, self.state, self.age = n, torch.zeros(n, 3), torch.zeros(n)
        self.reset(torch.ones(n, dtype=torch.bool))

    def reset(self, which):
        k = int(which.sum())
        self.state[which] = torch.randn(k, 3) * torch.tensor([0.1, 0.3, 0.5])
        self.age[which] = 0

    def step(self, action):
        angle, speed, wind = self.state.unbind(1)
        push = (action.float() * 2 - 1) * 1.5
        speed = speed + 0.1 * (4 * angle + push + wind)
        angle = angle + 0.1 * speed
        wind = 0.9 * wind + 0.2 * torch.randn(self.n)
        self.state = torch.stack([angle, speed, wind], 1)
        self.age += 1
        fallen = angle.abs() > 0.6
        late = self.age >= 60
        reward = 1 - angle.abs()
        done = fallen | late
        after = self.state.clone()
        ages = self.age[done].clone()
        self.reset(done)
        return after, reward, fallen, done, ages


class ActorCritic(nn.Module):
    def __init__(self, shared):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(3, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh())
        self.other = None if shared else nn.Sequential(nn.Linear(3, 48), nn.Tanh())
        self.policy, self.value = nn.Linear(48, 2), nn.Linear(48, 1)

    def forward(self, s):
        h = self.trunk(s)
        return self.policy(h), self.value(h if self.other is None else self.other(s)).squeeze(-1)


def collect(net, env, length):
    out = {k: [] for k in ("s", "a", "r", "stop", "logp", "v", "after", "fell")}
    finished = []
    for _ in range(length):
        s = env.state.clone()
        with torch.no_grad():
            logits, v = net(s)
        dist = torch.distributions.Categorical(logits=logits)
        act = dist.sample()
        after, r, fell, done, ages = env.step(act)
        finished += ages.tolist()
        for k, q in zip(out, (s, act, r, done.float(), dist.log_prob(act), v, after, fell.float())):
            out[k].append(q)
    return {k: torch.stack(q) for k, q in out.items()}, finished


def advantages(net, b, gamma=0.97, lam=0.9):
    with torch.no_grad():
        nxt = net(b["after"])[1] * (1 - b["fell"])
    delta = b["r"] + gamma * nxt - b["v"]
    adv, run = torch.zeros_like(delta), torch.zeros(delta.shape[1])
    for t in reversed(range(len(delta))):
        run = delta[t] + gamma * lam * (1 - b["stop"][t]) * run
        adv[t] = run
    return adv, adv + b["v"]


def policy_run(rec):
    env, net = Balance(24), ActorCritic(shared=a.habit != "two_towers")
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    recent = deque(maxlen=100)
    rounds = 60 if a.habit == "ppo" else 240
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=rounds)
    for it in range(1, rounds + 1):
        b, ages = collect(net, env, 40)
        recent.extend(ages)
        adv, ret = advantages(net, b)
        s, act, old = b["s"].flatten(0, 1), b["a"].flatten(), b["logp"].flatten()
        adv, ret = adv.flatten(), ret.flatten()
        adv = (adv - adv.mean()) / (adv.std() + 1e-6)
        passes = 4 if a.habit == "ppo" else 1
        for _ in range(passes):
            order = torch.randperm(len(s))
            for part in order.split(240) if a.habit == "ppo" else [order]:
                logits, v = net(s[part])
                dist = torch.distributions.Categorical(logits=logits)
                logp = dist.log_prob(act[part])
                if a.habit == "ppo":
                    ratio = (logp - old[part]).exp()
                    pg = -torch.min(ratio * adv[part], ratio.clamp(0.8, 1.2) * adv[part]).mean()
                else:
                    pg = -(logp * adv[part]).mean()
                critic, entropy = F.mse_loss(v, ret[part]), dist.entropy().mean()
                loss = pg + 0.02 * critic - 0.005 * entropy
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 0.5)
                optimizer.step()
                rec.step(loss=loss, policy=pg, critic=critic, entropy=entropy)
        decay.step()
        if it % (3 if a.habit == "ppo" else 12) == 0:
            rec.log(episode_length=sum(recent) / max(1, len(recent)), mean_reward=b["r"].mean())


def q_run(rec):
    env = Balance(8)
    net = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    target = copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    memory, recent = deque(maxlen=4000), deque(maxlen=100)
    for step in range(2400):
        s = env.state.clone()
        with torch.no_grad():
            greedy = net(s).argmax(1)
        explore = torch.rand(8) < max(0.05, 1 - step / 900)
        act = torch.where(explore, torch.randint(0, 2, (8,)), greedy)
        after, r, fell, _, ages = env.step(act)
        recent.extend(ages.tolist())
        memory.extend(zip(s, act, r, after, fell.float()))
        if step < 60 or step % 2:
            continue
        rows = [memory[i] for i in torch.randint(0, len(memory), (64,)).tolist()]
        s, act, r, after, fell = (torch.stack(q) for q in zip(*rows))
        with torch.no_grad():
            best = net(after).argmax(1) if a.habit == "double_dqn" else target(after).argmax(1)
            goal = r + 0.95 * (1 - fell) * target(after).gather(1, best[:, None]).squeeze(1)
        q = net(s).gather(1, act[:, None]).squeeze(1)
        loss = F.smooth_l1_loss(q, goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            target.load_state_dict(net.state_dict())
        rec.step(loss=loss, q_mean=q.mean())
        if step % 160 == 0:
            rec.log({"episode/length": sum(recent) / max(1, len(recent)), "epsilon": max(0.05, 1 - step / 900)})


with lvmcheck.record(a.out, config={"algorithm": a.habit}, seed=9) as rec:
    (q_run if a.habit.endswith("dqn") else policy_run)(rec)
