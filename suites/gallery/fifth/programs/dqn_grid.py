"""DQN with replay and a target network on a windy grid."""
import copy, random
import torch
from torch import nn
import torch.nn.functional as F
import lvmcheck
from common import options, facts

TASK = "deep Q-learning"
FAULTS = {
    "target_never_copied": ("the target network keeps its first weights", ["copy_never_updated", "not_learning"], True),
    "terminal_inverted": ("the bootstrap is multiplied by done in place of 1 - done", ["not_learning", "labels_masked_wrongly", "diverging"], False),
    "q_broadcast": ("Q [N, 1] against targets [N]", ["targets_broadcast", "not_learning", "outputs_collapsed"], True),
    "first_transitions": ("buffer[:64] in place of a sample of the buffer", ["one_batch_repeated", "not_learning", "memorisation"], True),
    "no_step": ("optimizer.step() was lost in a merge", ["step_missing", "weights_never_move", "not_learning"], True),
}
HABITS = {"": "target network copied every 100 steps, the loss rises", "soft_target": "target follows slowly"}
N = 5


class Grid:
    def reset(self, r):
        self.r, self.p, self.t = r, [r.randrange(N), r.randrange(2)], 0
        return self.see()

    def see(self):
        v = [0.] * (2 * N)
        v[self.p[0]] = v[N + self.p[1]] = 1.
        return v

    def step(self, a):
        dx, dy = [(1, 0), (-1, 0), (0, 1), (0, -1)][a]
        if self.r.random() < .1:
            dx, dy = 0, -1
        self.p = [min(N - 1, max(0, self.p[0] + dx)), min(N - 1, max(0, self.p[1] + dy))]
        self.t += 1
        won = self.p == [N - 1, N - 1]
        return self.see(), 1. if won else -.04, won, won or self.t >= 30


def play(net, r, eps, buf=None, env=Grid()):
    s, total = env.reset(r), 0.
    while True:
        if r.random() < eps:
            a = r.randrange(4)
        else:
            with torch.no_grad():
                a = int(net(torch.tensor([s])).argmax())
        s2, rew, won, over = env.step(a)
        if buf is not None:
            buf.append((s, a, rew, s2, float(won)))
        s, total = s2, total + rew
        if over:
            return total


def main():
    o = options()
    torch.manual_seed(2)
    r = random.Random(2)
    net = nn.Sequential(nn.Linear(2 * N, 48), nn.ReLU(), nn.Linear(48, 4))
    target = copy.deepcopy(net)
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    buf, n = [], 0
    with lvmcheck.record(o.out, config={"gamma": .95, "episodes": 90, "lr": 2e-3}) as rec:
        if o.watch:
            rec.watch(net, opt)
        for ep in range(90):
            total = play(net, r, max(.05, 1 - ep / 45), buf)
            last = []
            for _ in range(12 if len(buf) > 64 else 0):
                rows = buf[:64] if o.fault == "first_transitions" else r.sample(buf, 64)
                s, a, rew, s2, done = (torch.tensor(c) for c in zip(*rows))
                q = net(s).gather(1, a[:, None])
                with torch.no_grad():
                    boot = target(s2).max(1).values * .95
                    goal = rew + boot * (done if o.fault == "terminal_inverted" else 1 - done)
                if o.fault != "q_broadcast":
                    q = q.squeeze(1)
                loss = (q - goal).square().mean()
                opt.zero_grad()
                loss.backward()
                if o.fault != "no_step":
                    opt.step()
                n += 1
                last.append(loss.item())
                if o.habit == "soft_target":
                    for p, w in zip(target.parameters(), net.parameters()):
                        p.data.lerp_(w.data, .02)
                elif n % 50 == 0 and o.fault != "target_never_copied":
                    target.load_state_dict(net.state_dict())
                rec.step(loss=loss, epsilon=max(.05, 1 - ep / 45))
            if ep % 5 == 4:
                test = random.Random(99)
                net.eval()
                ret = sum(play(net, test, 0.) for _ in range(8)) / 8
                net.train()
                rec.epoch(ep // 5, episode_return=total, eval_return=ret, td_loss=sum(last) / len(last) if last else None)
    test = random.Random(5)
    fin = sum(play(net, test, 0.) for _ in range(40)) / 40
    facts(score=fin, trivial=sum(play(net, test, 1.) for _ in range(40)) / 40)


if __name__ == "__main__":
    main()
