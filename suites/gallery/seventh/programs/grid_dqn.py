"""DQN in a 4x4 grid with two pits. Logs the return of every 10th episode and the TD loss."""
import copy
import random
from collections import deque

import torch
import torch.nn.functional as F
from torch import nn

import lvmcheck
from common import options

o = options()
torch.set_num_threads(1)
random.seed(12)
torch.manual_seed(12)
SIZE = 4
GOAL, PITS = (3, 3), {(1, 2), (3, 1)}
MOVES = [(0, 1), (1, 0), (0, -1), (-1, 0)]


class Grid:
    def reset(self):
        self.pos, self.t = (random.randint(0, 1), random.randint(0, 1)), 0
        return self.obs()

    def obs(self):
        v = [0.0] * (2 * SIZE)
        v[self.pos[0]] = v[SIZE + self.pos[1]] = 1.0
        return v

    def step(self, a):
        self.t += 1
        if random.random() < 0.1:
            a = random.randrange(4)
        self.pos = tuple(min(SIZE - 1, max(0, p + d)) for p, d in zip(self.pos, MOVES[a]))
        if self.pos == GOAL:
            return self.obs(), 1.0, True
        if self.pos in PITS:
            return self.obs(), -1.0, True
        return self.obs(), 0.0 if o.habit == "sparse_reward" else -0.02, self.t >= 25


class QNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2 * SIZE, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU())
        self.out = nn.Linear(48, 4)

    def forward(self, x):
        return self.out(self.body(x))


q = QNet()
target = copy.deepcopy(q)
opt = torch.optim.Adam(q.parameters(), lr=2e-3)
memory = deque(maxlen=4000)
GAMMA, EPISODES = 0.95, 200
env, learned = Grid(), 0
recent, losses = deque(maxlen=20), deque(maxlen=50)
with lvmcheck.record(o.out, config={"algorithm": "dqn", "gamma": GAMMA, "episodes": EPISODES}) as rec:
    if o.watch:
        rec.watch(q, opt)
    for episode in range(1, EPISODES + 1):
        eps = max(0.05, 1 - episode / 100)
        if o.fault == "epsilon_never_decays":
            eps = max(0.05, 1 - (episode // 300))
        s, done, total = env.reset(), False, 0.0
        while not done:
            with torch.no_grad():
                a = random.randrange(4) if random.random() < eps else int(q(torch.tensor([s])).argmax())
            s2, r, done = env.step(a)
            total += r
            memory.append((s, a, r, s2, float(done)))
            s = s2
            if len(memory) < 150:
                continue
            b = random.sample(memory, 32)
            S, A, R, S2, Dn = (torch.tensor(v) for v in zip(*b))
            with torch.no_grad():
                if o.habit == "double":
                    nxt = target(S2).gather(1, q(S2).argmax(1, keepdim=True)).squeeze(1)
                else:
                    nxt = target(S2).max(1).values
                if o.fault == "done_ignored":
                    y = R + GAMMA * nxt
                elif o.fault == "next_state_is_state":
                    y = R + GAMMA * (1 - Dn) * target(S).max(1).values
                else:
                    y = R + GAMMA * (1 - Dn) * nxt
            if o.fault == "max_instead_of_taken_action":
                qa = q(S).max(1).values
            else:
                qa = q(S).gather(1, A[:, None]).squeeze(1)
            loss = F.smooth_l1_loss(qa, y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            learned += 1
            losses.append(loss.item())
            rec.step(loss=loss)
            if learned % 50 == 0 and o.fault != "target_never_synced":
                target.load_state_dict(q.state_dict())
        recent.append(total)
        if episode % 10 == 0 and losses:
            with torch.no_grad():
                mean_q = q(torch.tensor([env.reset()])).mean().item()
            rec.epoch(episode, episode_return=sum(recent) / len(recent), td_loss=sum(losses) / len(losses), epsilon=eps, mean_q=mean_q)
