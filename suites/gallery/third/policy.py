"""A policy that walks a corridor to a goal, learnt from its own returns; returns, entropies and losses of episodes."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvmcheck import Recorder
from suites.gallery.program import broken, healthy

CELLS, HORIZON = 10, 20


def roll(net: nn.Module, slip: float, n: int = 32) -> tuple[torch.Tensor, ...]:
    """Positions, actions, rewards of n walks from the middle; +1 at the right end, -0.02 a step."""
    at = torch.randint(2, 6, (n,))
    done = torch.zeros(n, dtype=torch.bool)
    seen, acts, rewards, alive = [], [], [], []
    for _ in range(HORIZON):
        one = F.one_hot(at, CELLS).float()
        with torch.no_grad():
            act = torch.distributions.Categorical(logits=net(one)[:, :2]).sample()
        move = torch.where(torch.rand(n) < slip, torch.randint(0, 2, (n,)), act) * 2 - 1
        seen.append(one)
        acts.append(act)
        alive.append(~done)
        at = torch.where(done, at, (at + move).clamp(0, CELLS - 1))
        goal = (at == CELLS - 1) & ~done
        rewards.append(torch.where(done, 0.0, goal.float() - 0.02))
        done = done | goal
    return torch.stack(seen), torch.stack(acts), torch.stack(rewards), torch.stack(alive).float()


def train(
    rec: Recorder,
    *,
    updates: int = 80,
    lr: float = 2e-2,
    entropy: float = 0.01,
    slip: float = 0.1,
    style: str = "log",
    bug: str = "",
) -> None:
    net = nn.Sequential(nn.Linear(CELLS, 32), nn.Tanh(), nn.Linear(32, 3))
    opt = torch.optim.Adam(net.parameters(), lr=lr)
    for update in range(updates):
        seen, acts, rewards, alive = roll(net, slip)
        back = torch.zeros_like(rewards)
        run = torch.zeros(rewards.shape[1])
        for t in reversed(range(HORIZON)):
            run = rewards[t] + 0.97 * run
            back[t] = run
        if bug == "no_reward":
            back = torch.zeros_like(back)
        out = net(seen)
        dist = torch.distributions.Categorical(logits=out[..., :2])
        value = out[..., 2]
        advantage = back - value.detach()
        if bug == "shuffled_actions":
            acts = acts[:, torch.randperm(acts.shape[1])]
        policy = -(dist.log_prob(acts) * advantage * alive).sum() / alive.sum()
        if bug == "sign":
            policy = -policy
        critic = ((value - back).square() * alive).sum() / alive.sum()
        ent = (dist.entropy() * alive).sum() / alive.sum()
        weight = 30.0 if bug == "entropy" else entropy
        critic_weight = 0.5
        loss = policy + critic_weight * critic - weight * ent
        opt.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        if bug == "no_step":
            norm = norm * 1.0
        else:
            opt.step()
        ret = rewards.sum(0).mean().item()
        if style == "log":
            rec.log(
                {
                    "episode_return": ret,
                    "policy_loss": policy.item(),
                    "value_loss": critic.item(),
                    "entropy": ent.item(),
                },
                step=update + 1,
            )
        elif style == "steps":
            rec.step(loss=loss, grad_norm=norm, episode_reward=ret)
        elif style == "epochs" and update % 8 == 7:
            rec.epoch(
                update // 8,
                mean_reward=ret,
                success_rate=(rewards.max(0).values > 0.5).float().mean().item(),
                loss=loss.item(),
                random_reward=-0.21,
            )


def p(**k: Any) -> partial[None]:
    return partial(train, **k)


PROGRAMS = [
    broken(
        "policy_sign",
        "the policy loss is negated",
        "loss_sign not_learning",
        "the return falls to the worst possible",
        p(bug="sign"),
        seed=1,
    ),
    broken(
        "policy_entropy_30",
        "entropy bonus of 30",
        "dominant_term not_learning wrong_scale learning_rate_too_low",
        "entropy stays at ln 2, the return at that of chance",
        p(bug="entropy"),
        seed=2,
    ),
    broken(
        "policy_no_step",
        "optimizer.step() lost",
        "weights_never_move not_learning learning_rate_zero learning_rate_too_low",
        "entropy and value loss do not move",
        p(bug="no_step"),
        seed=3,
    ),
    broken(
        "policy_actions_of_others",
        "actions are those of other walks",
        "label_mismatch not_learning loss_not_computed loss_sign",
        "the return does not rise, it falls",
        p(bug="shuffled_actions", style="epochs"),
        seed=5,
    ),
    broken(
        "policy_no_reward",
        "returns are zeroed",
        "not_learning loss_not_computed loss_constant metric_constant dominant_term",
        "value loss goes to 0, the return stays",
        p(bug="no_reward"),
        seed=6,
    ),
    healthy("policy_plain", "the loss says nothing, the return rises", p(), seed=20),
    healthy("policy_steps", "reward by steps", p(style="steps"), seed=21),
    healthy("policy_epochs", "a random walker's reward as a line", p(style="epochs", updates=96), seed=22),
    healthy("policy_slippery", "noisy returns", p(slip=0.5, updates=120), seed=23),
]
