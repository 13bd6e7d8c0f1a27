"""DQN on a courier's grid: fetch the parcel, bring it to the door; 5 x 5 fields with a wall."""
import argparse
import collections
import random

import numpy as np
import torch
import torch.nn as nn

import lvmcheck

cli = argparse.ArgumentParser()
cli.add_argument("outdir")
cli.add_argument("--fault", default="none")
cli.add_argument("--habit", default="none")
cli = cli.parse_args()
BUG, HABIT = cli.fault, cli.habit
torch.set_num_threads(1)
torch.manual_seed(0)
random.seed(0)

N = 5
WALLS = {(2, 1), (2, 2), (1, 3)}
MOVES = [(0, 1), (0, -1), (1, 0), (-1, 0)]
Step = collections.namedtuple("Step", "s a r s2 done")


class Courier:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.cells = [(r, c) for r in range(N) for c in range(N) if (r, c) not in WALLS]
        self.obs = np.zeros(3 * N * N + 1, np.float32)

    def reset(self):
        self.door = (4, 4)
        self.me, self.parcel = self.rng.sample(self.cells[:-1], 2)
        self.has, self.t = False, 0
        return self.see()

    def see(self):
        o = self.obs
        o[:] = 0
        o[self.me[0] * N + self.me[1]] = 1
        o[N * N + self.parcel[0] * N + self.parcel[1]] = 0 if self.has else 1
        o[2 * N * N + self.door[0] * N + self.door[1]] = 1
        o[-1] = self.has
        return o if BUG == "same_array" else o.copy()

    def distance(self):
        goal = self.door if self.has else self.parcel
        return abs(self.me[0] - goal[0]) + abs(self.me[1] - goal[1])

    def step(self, action):
        self.t += 1
        before = self.distance()
        spot = (self.me[0] + MOVES[action][0], self.me[1] + MOVES[action][1])
        if spot in WALLS or not (0 <= spot[0] < N and 0 <= spot[1] < N):
            spot = self.me
        self.me = spot
        reward = 0.1 * (before - self.distance()) - 0.03
        if not self.has and self.me == self.parcel:
            self.has = True
            reward += 0.5
        done = self.has and self.me == self.door
        if done:
            reward += 1.0
        if BUG == "pixels_of_reward":
            reward = int(reward)
        return self.see(), reward, done, done or self.t >= 30


class QNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(3 * N * N + 1, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.value, self.advantage = nn.Linear(64, 1), nn.Linear(64, 4)

    def forward(self, s):
        h = self.trunk(s)
        a = self.advantage(h)
        return self.value(h) + a - a.mean(1, keepdim=True)


class Memory:
    def __init__(self, size):
        self.steps = collections.deque(maxlen=size)

    def sample(self, k):
        if BUG == "newest_only":
            picked = [self.steps[i] for i in random.sample(range(k), k)]
        else:
            picked = [self.steps[i] for i in random.sample(range(len(self.steps)), k)]
        s, a, r, s2, d = zip(*picked)
        return (torch.from_numpy(np.stack(s)), torch.tensor(a), torch.tensor(r, dtype=torch.float32),
                torch.from_numpy(np.stack(s2)), torch.tensor(d, dtype=torch.float32))  # fmt: skip


policy, target = QNet(), QNet()
target.load_state_dict(policy.state_dict())
memory = Memory(8000)
learner = torch.optim.Adam(target.parameters() if BUG == "steps_target" else policy.parameters(), lr=3e-2 if BUG == "rate" else 2e-3)
gamma, EPISODES = 0.95, 560


def greedy(env, episodes=30):
    returns, arrived = [], 0
    policy.eval()
    with torch.no_grad():
        for _ in range(episodes):
            s, total, over = env.reset(), 0.0, False
            while not over:
                s, r, done, over = env.step(policy(torch.from_numpy(s)[None]).argmax(1).item())
                total += r
            arrived += done
            returns.append(total)
    policy.train()
    return sum(returns) / episodes, arrived / episodes


def td_loss(batch):
    s, a, r, s2, d = batch
    q = policy(s).gather(1, a[:, None])
    if BUG != "keep_column":
        q = q.squeeze(1)
    with torch.no_grad():
        if HABIT == "double":
            best = policy(s2).argmax(1)
            following = target(s2).gather(1, best[:, None]).squeeze(1)
        else:
            following = target(s2).max(1).values
        goal = r + gamma * following * (1 if BUG == "ignores_end" else 1 - d)
    if BUG == "negated":
        return -nn.functional.smooth_l1_loss(q, goal)
    return nn.functional.smooth_l1_loss(q, goal)


env, test_env = Courier(1), Courier(2)
steps = updates = 0
with lvmcheck.record(cli.outdir, config={"episodes": EPISODES, "gamma": gamma}, seed=0) as rec:
    recent = collections.deque(maxlen=50)
    for episode in range(1, EPISODES + 1):
        s, total, over = env.reset(), 0.0, False
        eps = max(0.08, 1 - episode / 200)
        if BUG == "integer_epsilon":
            eps = max(0.08, 1 - episode // EPISODES)
        while not over:
            if random.random() < eps:
                action = random.randrange(4)
            else:
                with torch.no_grad():
                    action = policy(torch.from_numpy(s)[None]).argmax(1).item()
            s2, r, done, over = env.step(action)
            memory.steps.append(Step(s, action, r, s2, done))
            s, total, steps = s2, total + r, steps + 1
            if steps > 500 and steps % 6 == 0:
                loss = td_loss(memory.sample(64))
                learner.zero_grad()
                loss.backward()
                if HABIT == "clip_values":
                    nn.utils.clip_grad_value_(policy.parameters(), 1.0)
                learner.step()
                updates += 1
                rec.step(loss=loss.item(), lr=learner.param_groups[0]["lr"])
                if HABIT == "soft_target":
                    with torch.no_grad():
                        for t, p in zip(target.parameters(), policy.parameters()):
                            t.lerp_(p, 0.01)
                elif updates % 60 == 0:
                    target.load_state_dict((target if BUG == "syncs_itself" else policy).state_dict())
        recent.append(total)
        if episode % 56 == 0:
            mean_return, rate = greedy(test_env)
            rec.log(train_return=sum(recent) / len(recent), eval_return=mean_return, arrival_rate=rate, epsilon=eps)
