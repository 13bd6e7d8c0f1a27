"""Q-learning on a windy grid with a target net and a replay buffer."""
import copy
import random
import torch
import torch.nn as nn
import torch.nn.functional as F
import lvmcheck
from .common import moved, snapshot

TASK = "deep Q-learning with a target net"
N = 6
MOVES = [(0, 1), (1, 0), (0, -1), (-1, 0)]


def obs(p):
    v = torch.zeros(2 * N)
    v[p[0]] = v[N + p[1]] = 1
    return v


def move(p, a, rng, slip=0.1):
    if rng.random() < slip:
        a = rng.randrange(4)
    q = (min(N - 1, max(0, p[0] + MOVES[a][0])), min(N - 1, max(0, p[1] + MOVES[a][1])))
    if q in ((2, 2), (3, 2), (2, 4)):
        return q, -1.0, True
    if q == (N - 1, N - 1):
        return q, 1.0, True
    return q, -0.02, False


def play(net, episodes, seed):
    rng, total = random.Random(seed), 0.0
    for _ in range(episodes):
        p = (rng.randrange(2), rng.randrange(2))
        for _ in range(30):
            with torch.no_grad():
                a = int(net(obs(p)).argmax())
            p, r, done = move(p, a, rng)
            total += r
            if done:
                break
    return total / episodes


def main(rec_dir, watch, broken=None, habit=None):
    torch.manual_seed(2); rng = random.Random(2)
    q = nn.Sequential(nn.Linear(2 * N, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
    target = copy.deepcopy(q)
    t0, q0 = snapshot(target), snapshot(q)
    opt = torch.optim.Adam(q.parameters(), lr=1e-3)
    buf, gamma = [], 0.97
    first = play(q, 30, 5)
    updates = 0
    said = first
    p = (0, 0)
    length = 0
    frames = 5000
    with lvmcheck.record(rec_dir, config={"frames": frames, "lr": 1e-3, "gamma": gamma, "sync": 200}) as rec:
        if watch:
            rec.watch(q, opt)
        for frame in range(frames):
            eps = 1.0 if broken == "exploration_never_ends" else max(0.1, 1 - frame / 3000)
            if broken == "never_explores":
                eps = 0.0
            with torch.no_grad():
                a = rng.randrange(4) if rng.random() < eps else int(q(obs(p)).argmax())
            p2, r, done = move(p, a, rng)
            stored = p2 if broken == "state_overwritten_in_buffer" else p
            buf.append((obs(stored), a, r, obs(p2), float(done)))
            length += 1
            p = (rng.randrange(2), rng.randrange(2)) if done or length > 40 else p2
            length = 0 if done or length > 40 else length
            if len(buf) > 300 and frame % 3 == 0:
                pick = buf[-64:] if broken == "replays_the_latest_only" else rng.sample(buf, 64)
                s, act, rew, s2, d = (torch.stack(c) if torch.is_tensor(c[0]) else torch.tensor(c) for c in zip(*pick))
                with torch.no_grad():
                    nxt = target(s2).max(1).values
                    if broken == "terminal_states_bootstrap":
                        y = rew + 0.999 * nxt
                    elif broken == "reward_left_out":
                        y = gamma * (1 - d) * nxt
                    elif broken == "terminal_flag_inverted":
                        y = rew + gamma * d * nxt
                    else:
                        y = rew + gamma * (1 - d) * nxt
                out = q(s)
                if broken == "max_in_place_of_action":
                    mine = out.max(1).values
                else:
                    mine = out.gather(1, act[:, None])[:, 0]
                if broken == "target_and_value_broadcast":
                    mine = mine[:, None]
                loss = F.smooth_l1_loss(mine, y) if habit != "squared_error" else F.mse_loss(mine, y)
                opt.zero_grad(); loss.backward()
                opt.step()
                updates += 1
                rec.step(loss=loss.item(), q_mean=out.detach().mean().item(), epsilon=eps)
                if habit == "soft_updates":
                    for a_, b_ in zip(target.parameters(), q.parameters()):
                        a_.data.lerp_(b_.data, 0.01)
                elif updates % 66 == 0 and broken != "target_never_synced":
                    target.load_state_dict(q.state_dict())
            if frame % 500 == 499:
                said = play(q, 30, 5)
                rec.epoch(frame // 500, eval_reward=said, buffer=len(buf))
    return dict(score=play(q, 200, 7), trivial=first, good=0.2, reported=said, target=moved(t0, target), q=moved(q0, q), eps=eps)


HEALTHY = {
    "base": "target net copied now and then, the loss grows while rewards do",
    "soft_updates": "the target follows softly",
}
BROKEN = [
    ("exploration_never_ends", "epsilon stays 1", "schedule never moves", "curves", "r['eps']==1"),
    ("state_overwritten_in_buffer", "the buffer stores the next state as the state", "inputs do not belong to their targets", "curves"),
    ("terminal_states_bootstrap", "terminal states are bootstrapped with a discount of 0.999", "mask missing", "curves"),
    ("reward_left_out", "the reward is not in the target", "part of the target is missing", "both"),
    ("terminal_flag_inverted", "the terminal flag is inverted", "mask inverted", "both"),
    ("max_in_place_of_action", "the best action's value is trained, not that of the action taken", "wrong index", "curves"),
    ("target_and_value_broadcast", "values [N, 1] are compared with targets [N]", "shapes broadcast in the loss", "both"),
    ("target_never_synced", "the target net is never synchronised", "target network never updated", "watch", "r['target']==0"),
]
