# DQN on a slippery 8x8 grid with pits. one file, one loop, as in the notebook
import copy, random
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F
import lvmcheck
from options import options
torch.set_num_threads(1)

o = options()
random.seed(0); np.random.seed(0); torch.manual_seed(0)
S = 8
PITS = {(2, 2), (2, 3), (5, 5), (5, 1), (3, 6), (6, 3)}
GOAL = (7, 7)
MOVES = [(0, 1), (1, 0), (0, -1), (-1, 0)]

class Grid:
    def __init__(self, limit=40):
        self.limit = limit
        self.view = np.zeros(2 * S + 4, dtype=np.float32)
    def reset(self):
        while True:
            far = 4 if o.habit == "far_goal" and random.random() < 0.6 else S
            self.p = (random.randrange(far), random.randrange(far))
            if self.p not in PITS and self.p != GOAL: break
        self.t = 0
        return self.look()
    def look(self):
        self.view[:] = 0
        r, c = self.p
        self.view[r] = self.view[S + c] = 1
        for k, (dr, dc) in enumerate(MOVES):
            if (r + dr, c + dc) in PITS: self.view[2 * S + k] = 1
        return self.view if o.fault == "alias" else self.view.copy()
    def step(self, a):
        if random.random() < 0.1: a = random.randrange(4)
        r, c = self.p[0] + MOVES[a][0], self.p[1] + MOVES[a][1]
        self.p = (min(max(r, 0), S - 1), min(max(c, 0), S - 1))
        self.t += 1
        if self.p in PITS: return self.look(), -1.0, True
        if self.p == GOAL: return self.look(), 1.0, True
        return self.look(), (0.0 if o.habit == "far_goal" else -0.02), self.t >= self.limit

def mlp(): return nn.Sequential(nn.Linear(2 * S + 4, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 4))

q = mlp(); target = copy.deepcopy(q)
opt = torch.optim.Adam(q.parameters(), lr=5e-4)
env, test_env = Grid(), Grid()
CAP, B, GAMMA, STEPS, START, SYNC = 6000, 64, 0.95, 6000, 300, 100
mem = []

def evaluate(n=20):
    st = random.getstate(); random.seed(99)
    total = 0.
    for _ in range(n):
        s, d = test_env.reset(), False
        while not d:
            with torch.no_grad(): a = int(q(torch.from_numpy(s)).argmax())
            s, r, d = test_env.step(a); total += r
    random.setstate(st)
    return total / n

with lvmcheck.record(o.out, config=dict(env_steps=STEPS, lr=5e-4, gamma=GAMMA, buffer=CAP, batch=B, sync=SYNC), **o.extra) as rec:
    s, ep_ret, rets, updates, qs = env.reset(), 0., [], 0, []
    for step in range(1, STEPS + 1):
        eps = max(0.05, 1 - step / 3000)
        if random.random() < eps: a = random.randrange(4)
        else:
            with torch.no_grad(): a = int(q(torch.from_numpy(s)).argmax())
        s2, r, d = env.step(a)
        mem.append((s, a, r, s2, float(d))); mem = mem[-CAP:] if len(mem) > CAP + 500 else mem
        ep_ret += r; s = s2
        if d: rets.append(ep_ret); ep_ret = 0.; s = env.reset()
        if step < START or step % 4: continue
        batch = mem[-B:] if o.fault == "recent_only" else random.sample(mem, B)
        bs, ba, br, bs2, bd = (torch.from_numpy(np.array(c)) for c in zip(*batch))
        br, bd = br.float(), bd.float()
        if o.fault == "pred_max": pred = q(bs).max(1).values
        elif o.fault == "broadcast": pred = q(bs).gather(1, ba[:, None])
        else: pred = q(bs).gather(1, ba[:, None]).squeeze(1)
        with torch.no_grad():
            if o.habit == "double": nxt = target(bs2).gather(1, q(bs2).argmax(1, keepdim=True)).squeeze(1)
            else: nxt = target(bs2).max(1).values
            y = br + GAMMA * nxt if o.fault == "no_done" else br + GAMMA * nxt * (1 - bd)
        loss = F.smooth_l1_loss(pred, y)
        opt.zero_grad(); loss.backward(); opt.step()
        updates += 1; qs.append(pred.mean().item())
        if o.habit == "polyak":
            with torch.no_grad():
                for tp, p in zip(target.parameters(), q.parameters()): tp.lerp_(p, 0.03)
        elif updates % SYNC == 0:
            if o.fault == "sync_wrong_way": q.load_state_dict(target.state_dict())
            else: target.load_state_dict(q.state_dict())
        rec.step(loss=loss)
        if step % 600 == 0:
            rec.log({"eval_return": evaluate(), "train_return": float(np.mean(rets[-30:])), "q_mean": float(np.mean(qs[-100:])), "epsilon": eps})
