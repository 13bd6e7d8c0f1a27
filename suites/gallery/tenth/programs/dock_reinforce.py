"""Policy gradient with a value baseline: 48 boats at once brake and steer to a dock of changing place."""
import argparse

import torch
from torch import nn
from torch.distributions import Categorical

import lvmcheck

args = argparse.ArgumentParser()
args.add_argument("outdir")
args.add_argument("--fault", default="")
args.add_argument("--habit", default="")
args = args.parse_args()
fault, habit = args.fault, args.habit
torch.set_num_threads(1)
torch.manual_seed(6)
BOATS, TIME, GAMMA = 48, 30, 0.95
THRUST = torch.tensor([-1.0, 0.0, 1.0])


class Harbour:
    def __init__(self, seed):
        self.seed = seed
        self.g = torch.Generator().manual_seed(seed)

    def reset(self):
        if fault == "same_starts":
            self.g.manual_seed(self.seed)
        self.place = torch.rand(BOATS, generator=self.g) * 4 - 2
        self.speed = torch.rand(BOATS, generator=self.g) - 0.5
        self.dock = torch.rand(BOATS, generator=self.g) * 3 - 1.5
        self.wind = torch.randn(BOATS, generator=self.g) * 0.15
        return self.view()

    def view(self):
        dock = torch.zeros(BOATS) if fault == "dock_unseen" else self.dock
        return torch.stack([self.place, self.speed, dock, self.wind], 1)

    def step(self, action):
        self.speed = 0.95 * self.speed + 0.15 * (THRUST[action] + self.wind)
        self.place = self.place + 0.4 * self.speed
        gap = self.place - self.dock
        reward = torch.exp(-4 * gap**2) - 0.1 * gap.abs() - 0.02 * THRUST[action].abs()
        return self.view(), reward, gap.abs() < 0.25


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.policy = nn.Sequential(nn.Linear(4, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 3))
        self.value = nn.Sequential(nn.Linear(4, 48), nn.Tanh(), nn.Linear(48, 1))
        if fault == "zero_layer":
            for layer in (self.policy[2], self.policy[4]):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)


def rollout(agent, harbour, greedy=False):
    views, actions, rewards, inside = [], [], [], []
    view = harbour.reset()
    for _ in range(TIME):
        with torch.no_grad():
            logits = agent.policy(view)
        action = logits.argmax(1) if greedy else Categorical(logits=logits).sample()
        views.append(view)
        actions.append(action)
        view, reward, docked = harbour.step(action)
        rewards.append(reward)
        inside.append(docked)
    return torch.stack(views), torch.stack(actions), torch.stack(rewards), torch.stack(inside)


def discounted(rewards):
    total, out = torch.zeros(BOATS), []
    for r in rewards.flip(0):
        total = r + GAMMA * total
        out.append(total)
    return torch.stack(out[::-1])


agent = Agent()
if fault == "policy_only":
    optimizer = torch.optim.Adam(agent.policy.parameters(), lr=5e-3)
elif habit == "two_rates":
    optimizer = torch.optim.Adam([{"params": agent.policy.parameters()}, {"params": agent.value.parameters(), "lr": 1e-2}], lr=5e-3)
else:
    optimizer = torch.optim.Adam(agent.parameters(), lr=5e-3)
UPDATES, REPORT = 300, 25
boats, judge = Harbour(1), Harbour(2)


def rate(k):
    if fault == "integer_warmup":
        return 5e-3 * ((k + 1) // 1000)
    return 5e-3 * min(1.0, (k + 1) / 20)


with lvmcheck.record(args.outdir, config={"updates": UPDATES, "boats": BOATS, "gamma": GAMMA}) as rec:
    for k in range(UPDATES):
        if habit != "two_rates":
            for group in optimizer.param_groups:
                group["lr"] = rate(k)
        views, actions, rewards, _ = rollout(agent, boats)
        returns = discounted(rewards).flatten()
        views, actions = views.flatten(0, 1), actions.flatten()
        value = agent.value(views)
        if fault != "value_column":
            value = value.squeeze(1)
        logits = agent.policy(views)
        if fault == "softmax_as_logits":
            logits = logits.softmax(1)
        dist = Categorical(logits=logits)
        log_prob = dist.log_prob(actions)
        if fault == "detached_log_prob":
            log_prob = log_prob.detach()
        advantage = returns - value.detach().view(-1)
        if habit != "raw_advantage":
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
        gain = (log_prob * advantage).mean()
        policy_loss = gain if fault == "plus_sign" else -gain
        value_loss = (value - returns).square().mean()
        entropy = dist.entropy().mean()
        bonus = 0.01 * (1 - k / UPDATES) if habit == "entropy_annealed" else 0.01
        if fault == "bonus_of_ten":
            bonus = 10.0
        loss = policy_loss + 0.5 * value_loss - bonus * entropy
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(agent.parameters(), 5.0)
        optimizer.step()
        rec.step(loss=loss.item(), lr=optimizer.param_groups[0]["lr"], policy_loss=policy_loss.item(), value_loss=value_loss.item(),
                 entropy=entropy.item(), episode_return=rewards.sum(0).mean().item())  # fmt: skip
        if (k + 1) % REPORT == 0:
            _, _, r, inside = rollout(agent, judge, greedy=True)
            rec.log(eval_return=r.sum(0).mean().item(), docked_at_end=inside[-5:].float().mean().item())
