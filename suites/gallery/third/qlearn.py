"""Values of actions learnt from a replay buffer, against a target network that moves."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy


def step_world(s: torch.Tensor, a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A ring of 12 places; place 0 pays 1, place 5 pays 0.2; actions: left, right."""
    t = (s + a * 2 - 1) % 12
    return t, (t == 0).float() + 0.2 * (t == 5).float()


def train(
    rec: Recorder,
    *,
    steps: int = 600,
    lr: float = 3e-3,
    gamma: float = 0.9,
    copy: int = 50,
    style: str = "epochs",
    bug: str = "",
) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 2))

    q, target = build(), build()
    target.load_state_dict(q.state_dict())
    opt = torch.optim.Adam(q.parameters(), lr=lr)
    s = torch.randint(0, 12, (2000,))
    a = torch.randint(0, 2, (2000,))
    t, r = step_world(s, a)
    if bug == "rewards":
        r = r[torch.randperm(2000)]
    gamma = 1.3 if bug == "gamma" else gamma
    sums, count = 0.0, 0
    for step in range(steps):
        k = torch.randint(0, 2000, (64,))
        with torch.no_grad():
            ahead = target(F.one_hot(t[k], 12).float()).max(1).values
            goal = r[k] + gamma * ahead
        value = q(F.one_hot(s[k], 12).float()).gather(1, (1 - a[k] if bug == "actions" else a[k])[:, None])[:, 0]
        loss = F.smooth_l1_loss(value, goal)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if bug == "copied_back" and (step + 1) % copy == 0:
            q.load_state_dict(target.state_dict())
        elif (step + 1) % copy == 0:
            target.load_state_dict(q.state_dict())
        sums, count = sums + loss.item(), count + 1
        if style == "steps":
            rec.step(loss=loss, mean_q=value.mean())
        if (step + 1) % 30 == 0:
            at, got = torch.arange(12), torch.zeros(12)
            with torch.no_grad():
                for _ in range(20):
                    act = q(F.one_hot(at, 12).float()).argmax(1)
                    at, pay = step_world(at, act)
                    got += pay
            if style == "epochs":
                rec.epoch(step // 30, td_loss=sums / count, mean_q=value.mean().item(), eval_return=got.mean().item())
            elif style == "steps":
                rec.log({"eval_return": got.mean().item(), "random_return": 2.0})
            elif style == "log":
                rec.log({"loss": sums / count, "q": value.mean().item()}, step=step + 1)
            sums, count = 0.0, 0


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "qlearn_gamma",
        "a discount of 1.3",
        "diverging learning_rate_too_high exploding_gradient wrong_scale",
        "values and losses grow without end",
        p(bug="gamma"),
        seed=1,
    ),
    broken(
        "qlearn_copied_back",
        "the target is copied into the network",
        "weights_reset not_learning weights_never_move",
        "the loss jumps back at each copy, the return does not rise",
        p(bug="copied_back", style="steps"),
        seed=2,
    ),
    broken(
        "qlearn_rewards",
        "rewards of other transitions",
        "label_mismatch label_noise not_learning loss_sign",
        "losses stand, the return stays low",
        p(bug="rewards"),
        seed=3,
    ),
    broken(
        "qlearn_actions",
        "values of the other action are trained",
        "label_mismatch loss_sign not_learning",
        "the loss is fine, the return gets worst",
        p(bug="actions"),
        seed=4,
    ),
    healthy("qlearn_plain", "the loss does not fall: its target moves; values grow", p(), seed=20),
    healthy("qlearn_steps", "by steps, a random walker's return as a line", p(style="steps"), seed=21),
    healthy("qlearn_long_sight", "values are still growing at the end", p(gamma=0.97, style="log"), seed=22),
    healthy("qlearn_fast_copies", "a target that moves every tenth step", p(copy=10), seed=23),
]
