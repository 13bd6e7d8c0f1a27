"""A2C on a vectorised docking task: bring a cart with inertia and wind to a berth and keep it there."""
import torch
from torch import nn
from torch.distributions import Categorical

import lvmcheck
from options import options

torch.set_num_threads(1)
opts = options()
N_ENVS, HORIZON, GAMMA = 64, 16, 0.97
SPARSE = opts.habit == "sparse"


class Dock:
    """State: position, velocity, berth, clock. Actions: back, idle, forward. Leaving the canal ends the episode."""

    def __init__(self, n, limit=40):
        self.n, self.limit = n, limit
        self.x, self.v, self.goal, self.t = (torch.zeros(n) for _ in range(4))
        self.total = torch.zeros(n)
        self.reset(torch.ones(n, dtype=torch.bool))

    def reset(self, which):
        k = int(which.sum())
        self.x[which] = torch.rand(k) * 1.6 - 0.8
        self.v[which] = torch.randn(k) * 0.05
        self.goal[which] = torch.rand(k) * 1.2 - 0.6
        self.t[which] = torch.randint(0, 20, (k,)).float() if not SPARSE else 0.0
        self.total[which] = 0

    def obs(self):
        return torch.stack([self.x, self.v * 5, self.goal - self.x, self.t / self.limit], 1)

    def step(self, action):
        self.v = 0.92 * self.v + 0.03 * (action - 1) + 0.01 * torch.randn(self.n)
        self.x = self.x + self.v
        self.t = self.t + 1
        away = (self.x - self.goal).abs()
        if SPARSE:
            reward = ((away < 0.06) & (self.v.abs() < 0.05)).float()
        else:
            reward = 0.4 - away - 0.05 * (action != 1)
        out = self.x.abs() > 1.2
        reward = torch.where(out, reward - 5.0, reward)
        done = out | (self.t >= self.limit)
        self.total = self.total + reward
        finished = self.total[done].tolist()
        self.reset(done)
        return reward, done, finished


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.pi = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))
        self.v = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, obs):
        value = self.v(obs)
        scores = self.pi(obs)
        if opts.fault == "probs_as_logits":
            scores = scores.softmax(-1)
        return scores, value if opts.fault == "broadcast" else value.squeeze(-1)


def returns_of(rewards, dones, last):
    out, acc = [], last
    for r, d in zip(reversed(rewards), reversed(dones)):
        acc = r + GAMMA * acc if opts.fault == "done_ignored" else r + GAMMA * acc * (~d)
        out.append(acc)
    return torch.stack(out[::-1])


def main():
    torch.manual_seed(4)
    env, net = Dock(N_ENVS), ActorCritic()
    if opts.habit == "two_optimizers":
        optims = [torch.optim.Adam(net.pi.parameters(), lr=2e-3), torch.optim.Adam(net.v.parameters(), lr=5e-3)]
    else:
        optims = [torch.optim.Adam(net.parameters(), lr=3e-3)]
    if opts.habit == "pretrained":  # behaviour cloning of the old controller
        clone = torch.optim.Adam(net.pi.parameters(), lr=3e-3)
        for _ in range(150):
            s = env.obs()
            wish = (s[:, 2] * 4 - s[:, 1] * 2.2).clamp(-1, 1)
            label = (wish.round() + 1).long()
            clone.zero_grad()
            nn.functional.cross_entropy(net.pi(s), label).backward()
            clone.step()
            env.step(label)
    updates = 240 if SPARSE else 150
    ent_coef = 0.01
    cfg = {"updates": updates, "lr": 3e-3, "gamma": GAMMA, "entropy_coef": ent_coef, "n_envs": N_ENVS}
    recent = []
    with lvmcheck.record(opts.out, config=cfg, **opts.extra) as rec:
        for update in range(1, updates + 1):
            states, actions, rewards, dones = [], [], [], []
            for _ in range(HORIZON):
                s = env.obs()
                with torch.no_grad():
                    a = Categorical(logits=net(s)[0]).sample()
                r, d, fin = env.step(a)
                recent = (recent + fin)[-200:]
                states.append(s); actions.append(a); rewards.append(r); dones.append(d)
            with torch.no_grad():
                boot = net(env.obs())[1].reshape(-1)
            target = returns_of(rewards, dones, boot).reshape(-1)
            logits, value = net(torch.cat(states))
            dist = Categorical(logits=logits)
            adv = (target - value.reshape(-1)).detach()
            adv = (adv - adv.mean()) / (adv.std() + 1e-6)
            chosen = dist.sample() if opts.fault == "resampled" else torch.cat(actions)
            policy_loss = (dist.log_prob(chosen) * adv).mean()
            if opts.fault != "sign":
                policy_loss = -policy_loss
            value_loss = nn.functional.mse_loss(value, target)
            entropy = dist.entropy().mean()
            coef = 0.05 if opts.fault == "entropy_sign" else -ent_coef
            loss = policy_loss + 0.5 * value_loss + coef * entropy
            for op in optims:
                op.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            for op in optims:
                op.step()
            rec.step(loss=loss, policy_loss=policy_loss, value_loss=value_loss, entropy=entropy)
            if update % 10 == 0 and recent:
                rec.log(episode_return=sum(recent) / len(recent), step=update)


main()
