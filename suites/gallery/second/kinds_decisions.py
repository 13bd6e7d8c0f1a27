"""Learning that acts, adapts or solves: DQN, actor and critic, bandits, few-shot, many tasks, equations."""

from __future__ import annotations

import copy
import random
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def _net(a: int, b: int, wide: int = 48, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    return nn.Sequential(nn.Linear(a, wide), act(), nn.Linear(wide, wide), act(), nn.Linear(wide, b))


class Track:
    """A cart on a line that drifts; it is paid for being near a mark that it sees."""

    def reset(self) -> list[float]:
        self.x, self.v, self.mark, self.t = random.uniform(-1, 1), 0.0, random.uniform(-1, 1), 0
        return [self.x - self.mark, self.v]

    def step(self, action: int) -> tuple[list[float], float, bool]:
        self.v = 0.7 * self.v + 0.15 * (action - 1) + random.gauss(0, 0.02)
        self.x, self.t = self.x + self.v, self.t + 1
        away = abs(self.x - self.mark)
        reward = 1.0 if away < 0.15 else -0.2 * away + random.gauss(0, 0.1)
        return [self.x - self.mark, self.v], reward, self.t >= 20 or away > 3


# -- DQN -------------------------------------------------------------------------------------------------------------------
def dqn(rec: Recorder, bug: str = "", episodes: int = 100, gamma: float = 0.95, log: str = "episodes") -> None:
    env, q = Track(), _net(2, 3)
    old = copy.deepcopy(q)
    opt = torch.optim.Adam(q.parameters(), lr=3e-3)
    memory: list[tuple[list[float], int, float, list[float], bool]] = []
    recent: list[float] = []
    count = 0
    for episode in range(1, episodes + 1):
        s, done, paid = env.reset(), False, 0.0
        explore = 1.0 if bug == "explore" else max(0.05, 1 - episode / 50)
        losses, heights = [0.0], [0.0]
        while not done:
            with torch.no_grad():
                values = q(torch.tensor(s))
            a = (
                random.randrange(3)
                if random.random() < explore
                else int(values.argmin() if bug == "argmin" else values.argmax())
            )
            s2, r, done = env.step(a)
            memory.append((s, a, r, s2, done))
            s, paid, count = s2, paid + r, count + 1
            if len(memory) > 100 and count % 2 == 0:
                b = random.sample(memory, 32)
                bs, b2 = torch.tensor([m[0] for m in b]), torch.tensor([m[3] for m in b])
                br, bd = torch.tensor([m[2] for m in b]), torch.tensor([float(m[4]) for m in b])
                now = q(bs).gather(1, torch.tensor([[m[1]] for m in b]))[:, 0]
                with torch.no_grad():
                    then = br + gamma * (1 - bd) * old(b2).max(1).values
                loss = F.smooth_l1_loss(now, then)
                opt.zero_grad()
                loss.backward()
                opt.step()
                losses.append(loss.item())
                heights.append(now.mean().item())
            if count % 100 == 0:
                old.load_state_dict(q.state_dict())
        recent = [*recent[-19:], paid]
        if log == "episodes":
            row = {"episode_return": paid, "q_mean": sum(heights) / len(heights), "epsilon": explore}
            rec.log({**row, "td_loss": sum(losses) / len(losses)} if len(losses) > 1 else row, step=count)
        elif episode % 10 == 0:
            rec.epoch(episode // 10, loss=sum(losses) / len(losses), reward=sum(recent) / len(recent))


# -- actor and critic ----------------------------------------------------------------------------------------------------
def actor(rec: Recorder, bug: str = "", updates: int = 80, bonus: float = 0.01, lr: float = 5e-3) -> None:
    envs = [Track() for _ in range(16)]
    policy, value = _net(2, 3), _net(2, 1)
    opt = torch.optim.Adam([*policy.parameters(), *value.parameters()], lr=lr)
    for update in range(1, updates + 1):
        state = [e.reset() for e in envs]
        obs, acts, pays = [], [], []
        for _ in range(18):
            o = torch.tensor(state)
            with torch.no_grad():
                a = torch.distributions.Categorical(logits=policy(o)).sample()
            moved = [e.step(int(k)) for e, k in zip(envs, a, strict=True)]
            obs.append(o)
            acts.append(a)
            pays.append(torch.tensor([m[1] for m in moved]))
            state = [m[0] for m in moved]
        back, returns = torch.zeros(16), []
        for r in reversed(pays):
            back = r + 0.9 * back
            returns.insert(0, back)
        o, a, g = torch.cat(obs), torch.cat(acts), torch.cat(returns)
        v = value(o)[:, 0]
        edge = (v - g if bug == "advantage" else g - v).detach()
        edge = (edge - edge.mean()) / (edge.std() + 1e-6)
        choice = torch.distributions.Categorical(logits=policy(o))
        policy_loss = -(choice.log_prob(a) * edge).mean()
        value_loss, entropy = F.mse_loss(v, g), choice.entropy().mean()
        loss = policy_loss + 0.5 * value_loss - bonus * entropy
        opt.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_([*policy.parameters(), *value.parameters()], 0.5)
        opt.step()
        rec.step(
            loss=loss,
            grad_norm=norm,
            terms={"policy": (1.0, policy_loss), "value": (0.5, value_loss), "entropy": (-bonus, entropy)},
        )
        if update % 4 == 0:
            rec.log({"mean_return": torch.stack(pays).sum(0).mean(), "entropy": entropy})


# -- a bandit ----------------------------------------------------------------------------------------------------------------
def bandit(rec: Recorder, bug: str = "", rounds: int = 1600, noise: float = 1.0) -> None:
    arms = torch.randn(6, 8) * 0.6
    model = nn.Linear(8, 6)
    nn.init.zeros_(model.weight)
    opt = torch.optim.SGD(model.parameters(), lr=0.03)
    paid = best = total = 0.0
    for k in range(1, rounds + 1):
        x = torch.randn(8)
        with torch.no_grad():
            guess = model(x)
            truth = arms @ x
        greedy = int(guess.argmin() if bug == "argmin" else guess.argmax())
        arm = random.randrange(6) if random.random() < (1.0 if bug == "always_random" else 0.1) else greedy
        r = float(truth[arm]) + noise * random.gauss(0, 1)
        loss = (model(x)[arm] - r) ** 2
        opt.zero_grad()
        loss.backward()
        opt.step()
        paid, best, total = paid + float(truth[arm]), best + float(truth.max()), total + loss.item()
        if k % 40 == 0:
            rec.log({"avg_reward": paid / 40, "regret": (best - paid) / 40, "mse": total / 40}, step=k)
            paid = best = total = 0.0
            if bug == "reset" and k % 400 == 0:
                nn.init.zeros_(model.weight)


# -- few shots ---------------------------------------------------------------------------------------------------------------
def reptile(rec: Recorder, bug: str = "", rounds: int = 200) -> None:
    net = _net(1, 1, 48, nn.Tanh)
    outer = 0.0 if bug == "outer_zero" else 0.3

    def task() -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.rand(20, 1) * 8 - 4
        return x, random.uniform(0.5, 3) * torch.sin(x + random.uniform(0, 3.1))

    def adapt(x: torch.Tensor, y: torch.Tensor, k: int) -> nn.Sequential:
        fast = copy.deepcopy(net)
        opt = torch.optim.SGD(fast.parameters(), lr=0.03)
        for _ in range(k):
            opt.zero_grad()
            F.mse_loss(fast(x), y).backward()
            opt.step()
        return fast

    tests = [task() for _ in range(10)]
    for k in range(1, rounds + 1):
        x, y = task()
        fast = adapt(x, y, 7)
        with torch.no_grad():
            for p, f in zip(net.parameters(), fast.parameters(), strict=True):
                p.lerp_(f, -outer if bug == "outer_sign" else outer)
        if k % 20 == 0:
            before = after = 0.0
            for x, y in tests:
                tuned = adapt(x[:10], y[:10], 7)
                before += F.mse_loss(net(x[10:]), y[10:]).item() / 10
                after += F.mse_loss(tuned(x[10:]), y[10:]).item() / 10
            rec.log({"query_loss_before": before, "query_loss_after": after}, step=k)


# -- several tasks -----------------------------------------------------------------------------------------------------------
def tasks(rec: Recorder, bug: str = "", epochs: int = 14, learned: bool = False) -> None:
    x = torch.randn(2000, 16)
    kind = (x @ torch.randn(16, 5) + (x[:, :1] * x[:, 1:2]) * torch.randn(5)).argmax(1)
    size = (torch.sin(2 * x[:, 2]) + x[:, 3] + 0.3 * torch.randn(2000))[:, None]
    if bug == "dollars":
        size = size * 5000 + 20000
    body, head, tail = (
        nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()),
        nn.Linear(32, 5),
        nn.Linear(32, 1),
    )
    logvar = nn.Parameter(torch.zeros(2))
    opt = torch.optim.Adam([*body.parameters(), *head.parameters(), *tail.parameters(), logvar], lr=3e-3)
    for epoch in range(epochs):
        for i in torch.randperm(1600).split(40):
            h = body(x[i])
            a, b = F.cross_entropy(head(h), kind[i]), F.mse_loss(tail(h.detach() if bug == "detached" else h), size[i])
            if bug == "same_task":
                b = F.cross_entropy(head(h), kind[i])
            if learned:
                loss = a * (-logvar[0]).exp() + b * (-logvar[1]).exp() / 2 + logvar.sum() / 2
                opt.zero_grad()
                loss.backward()
                opt.step()
                rec.step(loss=loss)
                continue
            loss = a + b
            opt.zero_grad()
            loss.backward()
            opt.step()
            rec.step(loss=loss, terms={"kind": (1.0, a), "size": (1.0, b)})
        with torch.no_grad():
            h = body(x[1600:])
            a, b = F.cross_entropy(head(h), kind[1600:]), F.mse_loss(tail(h), size[1600:])
            hit = (head(h).argmax(1) == kind[1600:]).float().mean()
        rec.epoch(epoch, val_kind_loss=a, val_size_mse=b, val_kind_acc=hit)


# -- an equation -------------------------------------------------------------------------------------------------------------
def pinn(rec: Recorder, bug: str = "", steps: int = 700, lr: float = 4e-3, waves: float = 2.0) -> None:
    net = _net(1, 1, 32, nn.Tanh)
    opt = torch.optim.Adam(net.parameters(), lr=lr)
    grid = torch.linspace(-1, 1, 101)[:, None]
    k = waves * torch.pi / 2
    exact = torch.sin(k * grid) + 0.5 * grid

    for step in range(1, steps + 1):
        x = (torch.rand(64, 1) * 2 - 1).requires_grad_()
        u = net(x)
        du = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        d2 = torch.autograd.grad(du.sum(), x, create_graph=True)[0]
        source = k**2 * torch.sin(k * x)
        residual = ((d2 - source if bug == "source" else d2 + source) ** 2).mean() / k**4
        ends = ((net(grid[[0, -1]]) - exact[[0, -1]]) ** 2).mean()
        weight = 0.0 if bug == "no_ends" else 1.0
        loss = residual + weight * ends
        opt.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), 1e9)
        opt.step()
        rec.step(loss=loss, grad_norm=norm, lr=lr)
        if step % 50 == 0:
            with torch.no_grad():
                error = (net(grid) - exact).norm() / exact.norm()
            rec.log({"residual": residual, "boundary": ends, "rel_l2": error}, step=step)


PROGRAMS = [
    broken(
        "dqn_explore",
        "epsilon never falls",
        "not_learning schedule_wrong metric_constant",
        "epsilon 1.0 throughout, returns stay where they were",
        partial(dqn, bug="explore"),
        seed=1,
    ),
    broken(
        "dqn_argmin",
        "acts by the worst value",
        "loss_sign label_mismatch not_learning",
        "returns never rise though epsilon falls",
        partial(dqn, bug="argmin"),
        seed=2,
    ),
    healthy("dqn_loss_rises", "TD loss grows with the values while the return rises", partial(dqn), seed=4),
    healthy(
        "dqn_epochs", "the loss rises, so does the reward", partial(dqn, log="epochs"), seed=5, config={"gamma": 0.95}
    ),
    broken(
        "actor_advantage",
        "advantage with the wrong sign",
        "loss_sign",
        "the return falls far below its start",
        partial(actor, bug="advantage"),
        seed=1,
    ),
    broken(
        "actor_entropy",
        "entropy bonus 300 times too strong",
        "dominant_term not_learning",
        "entropy stays at log 3, the return at its start",
        partial(actor, bonus=3.0),
        seed=2,
    ),
    healthy("actor_plain", "policy loss about zero, returns noisy, value loss rises", partial(actor), seed=3),
    broken(
        "bandit_argmin",
        "pulls the arm with the lowest estimate",
        "loss_sign label_mismatch",
        "reward falls below its start while the error falls",
        partial(bandit, bug="argmin"),
        seed=1,
    ),
    broken(
        "bandit_reset",
        "weights cleared every 400 rounds",
        "weights_reset",
        "regret jumps back every 400 rounds",
        partial(bandit, bug="reset", noise=0.3),
        seed=2,
    ),
    healthy("bandit_noise", "the error stands at the noise, the regret falls", partial(bandit), seed=3),
    broken(
        "reptile_outer_zero",
        "outer step 0",
        "weights_never_move learning_rate_zero metric_constant loss_constant not_learning",
        "both losses are the same number always",
        partial(reptile, bug="outer_zero"),
        seed=1,
    ),
    broken(
        "reptile_outer_sign",
        "outer step backwards",
        "loss_sign diverging",
        "both losses explode",
        partial(reptile, bug="outer_sign"),
        seed=2,
    ),
    healthy(
        "reptile_before_flat", "the loss before adapting cannot fall, the one after does", partial(reptile), seed=3
    ),
    broken(
        "tasks_dollars",
        "one target is not scaled",
        "dominant_term wrong_scale",
        "one term is 1e8 times the other, whose task is not learnt",
        partial(tasks, bug="dollars"),
        seed=1,
    ),
    broken(
        "tasks_same",
        "the second term is computed from the first head",
        "loss_not_computed label_mismatch not_learning",
        "both terms equal in all steps, the size's error stays",
        partial(tasks, bug="same_task"),
        seed=2,
    ),
    healthy(
        "tasks_learned_weights",
        "total goes below zero with learned uncertainties",
        partial(tasks, learned=True),
        seed=3,
    ),
    healthy("tasks_uneven", "one task overtakes the other and rises a little late", partial(tasks), seed=4),
    broken(
        "pinn_no_ends",
        "boundary weight 0",
        "loss_not_computed dominant_term",
        "residual to nothing, boundary and error stay",
        partial(pinn, bug="no_ends"),
        seed=1,
    ),
    broken(
        "pinn_source",
        "sign of the source term",
        "loss_sign label_mismatch",
        "both terms fall, the error against the exact solution rises above 1",
        partial(pinn, bug="source"),
        seed=2,
    ),
    broken(
        "pinn_lr",
        "0.3 for 0.003",
        "learning_rate_too_high not_learning diverging vanishing_gradient",
        "the loss never falls below its first steps",
        partial(pinn, lr=0.3),
        seed=3,
    ),
    healthy("pinn_spikes", "spikes over orders of magnitude", partial(pinn), seed=4),
]
