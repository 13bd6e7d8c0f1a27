"""A pole on a cart, many at a time, and bandits: policies learned from rewards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder
from suites.gallery.program import Program, broken, healthy

CARTS = 16
LONGEST = 100


class Carts:
    """The usual cart and pole, ``CARTS`` at a time; an episode ends when the pole falls or after ``LONGEST`` steps."""

    def __init__(self) -> None:
        self.state = (torch.rand(CARTS, 4) - 0.5) * 0.1
        self.alive = torch.ones(CARTS, dtype=torch.bool)

    def step(self, action: Tensor) -> Tensor:
        x, v, a, w = self.state.unbind(1)
        sin, cos = a.sin(), a.cos()
        push = (20.0 * action - 10.0 + 0.05 * w * w * sin) / 1.1
        turn = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos * cos / 1.1))
        speed = push - 0.05 * turn * cos / 1.1
        self.state = torch.stack([x + 0.02 * v, v + 0.02 * speed, a + 0.02 * w, w + 0.02 * turn], 1)
        reward = self.alive.float()
        self.alive = self.alive & (self.state[:, 0].abs() < 2.4) & (self.state[:, 2].abs() < 0.21)
        return reward


def returns_to_go(rewards: Tensor, discount: float = 0.98) -> Tensor:
    out, running = [], torch.zeros(rewards.shape[1])
    for row in rewards.flip(0):
        running = row + discount * running
        out.append(running)
    return torch.stack(out[::-1])


def balance(
    rec: Recorder,
    *,
    fault: str = "",
    iterations: int = 40,
    lr: float = 1e-2,
    critic: bool = False,
    entropy_weight: float = 0.0,
    value_weight: float = 0.5,
    log_steps: bool = True,
    first: int = 1,
) -> None:
    """REINFORCE with a mean baseline, or with a critic that shares the body of the policy."""
    body = nn.Sequential(nn.Linear(4, 32), nn.Tanh())
    policy, value = nn.Linear(32, 2), nn.Linear(32, 1)
    parameters = [*body.parameters(), *policy.parameters(), *value.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=lr)
    for iteration in range(first, first + iterations):
        carts, states, actions, rewards = Carts(), [], [], []
        with torch.no_grad():
            while carts.alive.any() and len(rewards) < LONGEST:
                action = torch.multinomial(policy(body(carts.state)).softmax(1), 1)[:, 0]
                states.append(carts.state)
                actions.append(action)
                rewards.append(carts.step(action))
        state, action, reward = torch.stack(states), torch.stack(actions), torch.stack(rewards)
        weight = reward  # 1 for steps of carts that were alive
        gain = returns_to_go(reward)
        if fault == "returns given to other carts and steps":
            gain = gain.flatten()[torch.randperm(gain.numel())].reshape(gain.shape)
        log_p = policy(body(state)).log_softmax(-1)
        chosen = log_p.gather(-1, action[..., None])[..., 0]
        guess = value(body(state))[..., 0]
        baseline = guess.detach() if critic else gain[weight > 0].mean()
        if fault == "baseline is the return itself":
            baseline = gain
        advantage = gain - baseline
        if not critic:
            advantage = advantage / (gain[weight > 0].std() + 1e-6)
        if fault == "log-probabilities detached":
            chosen = chosen.detach()
        count = weight.sum()
        policy_loss = -(chosen * advantage * weight).sum() / count
        if fault == "sign of the policy loss wrong":
            policy_loss = -policy_loss
        entropy = -((log_p.exp() * log_p).sum(-1) * weight).sum() / count
        value_loss = ((guess - gain) ** 2 * weight).sum() / count
        terms = {"policy": (1.0, policy_loss.detach())}
        loss = policy_loss
        if entropy_weight:
            loss = loss - entropy_weight * entropy
            terms["entropy"] = (-entropy_weight, entropy.detach())
        if critic:
            loss = loss + value_weight * value_loss
            terms["value"] = (value_weight, value_loss.detach())
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 5.0 if critic else 1e9)
        if fault != "optimizer.step never called":
            optimizer.step()
        if log_steps:
            rec.step(loss=loss, terms=terms, grad_norm=norm, lr=lr)
        mean_return = reward.sum(0).mean().item()
        metrics = {"episode_return": mean_return, "policy_entropy": entropy.item()}
        if critic:
            metrics["value_loss"] = value_loss.item()
        rec.epoch(iteration, **metrics)


def bandit(rec: Recorder, *, fault: str = "", rounds: int = 400, lr: float = 0.02) -> None:
    """Five arms, the best of which depends on what is seen; eight pulls a step, rewards of 0 and 1."""
    preference = torch.randn(6, 5, generator=torch.Generator().manual_seed(11))
    policy = nn.Linear(6, 5)
    optimizer = torch.optim.Adam(policy.parameters(), lr=lr)
    mean, window = 0.0, []
    for number in range(1, rounds + 1):
        seen = torch.randn(8, 6)
        log_p = policy(seen).log_softmax(1)
        arm = torch.multinomial(log_p.detach().exp(), 1)
        pays = 0.1 + 0.8 * F.one_hot((seen @ preference).argmax(1), 5).gather(1, arm)[:, 0]
        reward = torch.bernoulli(pays)
        loss = -(log_p.gather(1, arm)[:, 0] * (reward - mean)).mean()
        if fault == "rewards given to the next pull":
            loss = -(log_p.gather(1, arm)[:, 0] * (reward.roll(1) - mean)).mean()
        mean = 0.95 * mean + 0.05 * reward.mean().item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rec.step(loss=loss, lr=lr)
        window.append(reward.mean().item())
        if number % 20 == 0:
            rec.epoch(number // 20, reward=sum(window) / len(window))
            window.clear()


PROGRAMS: Sequence[Program] = (
    healthy("cart_reinforce", "the loss is around 0 all the time and says nothing; the return grows", balance),
    healthy(
        "cart_no_steps",
        "no steps, iterations from 0, nothing but the return and the entropy, which falls as it should",
        partial(balance, log_steps=False, first=0, iterations=30),
        config={"iterations": 30},
    ),
    healthy(
        "cart_critic",
        "the value loss grows tenfold with the return, and it is most of the total",
        partial(balance, critic=True, entropy_weight=0.01, iterations=50),
        config={"iterations": 50, "value_weight": 0.5, "entropy_weight": 0.01},
    ),
    healthy("bandit_noisy", "eight pulls a step: the loss is noise around 0, the reward climbs unsteadily", bandit),
    broken(
        "cart_wrong_sign",
        "sign of the policy loss wrong",
        "loss_sign",
        "the return falls from that of a random policy to the shortest episodes there are",
        partial(balance, fault="sign of the policy loss wrong"),
        config={"iterations": 40},
    ),
    broken(
        "cart_rate_x100",
        "learning rate times 100",
        "learning_rate_too_high",
        "the entropy is 0 after a few iterations, at a bad return that does not move any more",
        partial(balance, lr=1.0),
        config={"iterations": 40, "lr": 1.0},
    ),
    broken(
        "cart_detached",
        "log-probabilities detached",
        "not_learning weights_never_move",
        "the value loss moves, the entropy hardly and the return not at all",
        partial(balance, fault="log-probabilities detached", critic=True),
        config={"iterations": 40, "value_weight": 0.5},
    ),
    broken(
        "cart_no_advantage",
        "baseline is the return itself",
        "loss_not_computed weights_never_move loss_constant",
        "loss and gradient norm are exactly 0 in every step; the return stays that of a random policy",
        partial(balance, fault="baseline is the return itself"),
        config={"iterations": 40},
    ),
    broken(
        "cart_entropy_dominates",
        "weight of the entropy 100,000 times too large",
        "dominant_term",
        "the entropy is ln 2 from start to end, its term is nearly all of the loss, and the return stays at random",
        partial(balance, critic=True, entropy_weight=1000.0),
        config={"iterations": 40, "entropy_weight": 1000.0},
    ),
    broken(
        "cart_returns_misplaced",
        "returns given to other carts and steps",
        "label_mismatch not_learning",
        "the return stays that of a random policy, as in a run with nothing to learn",
        partial(balance, fault="returns given to other carts and steps"),
        config={"iterations": 40},
    ),
    broken(
        "bandit_rewards_misplaced",
        "rewards given to the next pull",
        "label_mismatch not_learning",
        "the reward stays that of pulling at random, 0.26",
        partial(bandit, fault="rewards given to the next pull"),
        config={"arms": 5},
    ),
)
