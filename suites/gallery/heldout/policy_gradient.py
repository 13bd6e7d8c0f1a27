"""Policy gradients: an actor and a critic in a corridor with a sign, and a pole-like balance that pays per step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional

from lvmcheck import Recorder
from suites.gallery.heldout._kit import grad_norm
from suites.gallery.program import Program, broken, healthy

CELLS = 9
Act = Callable[[Tensor], Tensor]


def corridor(act: Act, games: int, *, cells: int = CELLS, shaped: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Walk to the end that the sign names: +1 there, -1 at the other end, a small cost for each step if shaped.

    Returns states, actions, rewards and whether the game was on, each with time first.
    """
    place, sign = torch.full((games,), cells // 2), torch.randint(2, (games,))
    on, rows = torch.ones(games, dtype=torch.bool), []
    for _ in range(2 * cells - 4):
        spot = functional.one_hot(place + (CELLS - cells) // 2, CELLS)
        state = torch.cat([spot, spot * (2 * sign[:, None] - 1)], 1).float()
        action = act(state)
        moved = place + (action - 1)
        ended = (moved <= 0) | (moved >= cells - 1)
        won = ended & ((moved > cells // 2) == (sign == 1))
        reward = torch.where(won, 1.0, torch.where(ended & shaped, -1.0, -0.03 * shaped)) * on
        rows.append((state, action, reward, on))
        on = on & ~ended
        place = torch.where(on, moved, place)
    return tuple(torch.stack(column) for column in zip(*rows, strict=True))  # type: ignore[return-value]


def balance(act: Act, games: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keep an unstable point inside [-1, 1] for up to 40 steps, one point of reward for each."""
    x, v = 0.1 * torch.randn(games), torch.zeros(games)
    on, rows = torch.ones(games, dtype=torch.bool), []
    for _ in range(40):
        state = torch.cat([torch.stack([x, v, x * v, x.abs()], 1), torch.zeros(games, 2 * CELLS - 4)], 1)
        action = act(state)
        v = 0.9 * v + 0.12 * x + 0.08 * (action - 1) + 0.03 * torch.randn(games)
        x = (x + v).clamp(-3, 3)
        rows.append((state, action, on.float(), on))
        on = on & (x.abs() < 1)
    return tuple(torch.stack(column) for column in zip(*rows, strict=True))  # type: ignore[return-value]


def discounted(reward: Tensor, by: float = 0.97) -> Tensor:
    running, rows = torch.zeros(reward.shape[1]), []
    for row in reversed(reward):
        running = row + by * running
        rows.append(running)
    return torch.stack(rows[::-1])


def greedy(actor: nn.Module, state: Tensor) -> Tensor:
    best: Tensor = actor(state).argmax(1)
    return best


def actor_critic(
    rec: Recorder,
    *,
    fault: str = "",
    game: str = "corridor",
    epochs: int = 20,
    updates: int = 8,
    games: int = 32,
    rate: float = 5e-3,
    critic_weight: float = 0.5,
    entropy_weight: float = 0.01,
    terms: bool = True,
    evaluate: bool = False,
    grows: bool = False,
    shaped: bool = True,
    first: int = 1,
    names: Sequence[str] = ("reward", "entropy", "value_loss"),
) -> None:
    """One update from a few complete games; ``critic_weight`` 0 is plain REINFORCE."""
    actor = nn.Sequential(nn.Linear(2 * CELLS, 32), nn.Tanh(), nn.Linear(32, 3))
    critic = nn.Sequential(nn.Linear(2 * CELLS, 32), nn.Tanh(), nn.Linear(32, 1))
    old = copy.deepcopy(actor)
    learned = [*critic.parameters()] if fault == "actor forgotten" else [*actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(learned, rate)
    cells = CELLS

    def play(act: Act, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return balance(act, count) if game == "balance" else corridor(act, count, cells=cells, shaped=shaped)

    def sampled(state: Tensor) -> Tensor:
        with torch.no_grad():
            drawn: Tensor = Categorical(logits=actor(state)).sample()
        return drawn

    for epoch in range(epochs):
        cells = min(CELLS, 5 + 2 * (epoch // 8)) if grows else CELLS
        earned = spread = missed = 0.0
        for _ in range(updates):
            state, action, reward, on = play(sampled, games)
            returns = discounted(reward)
            if fault == "returns of other games":
                returns = returns[:, torch.randperm(games)]
            state, action, returns = state[on], action[on], returns[on]
            value, policy = critic(state).squeeze(1), Categorical(logits=actor(state))
            gain = returns - value.detach() if critic_weight else returns
            chance = policy.log_prob(action)
            if fault == "column of chances":
                chance = chance[:, None]
            aim = (chance * gain).mean() if fault == "sign" else -(chance * gain).mean()
            entropy, miss = policy.entropy().mean(), (value - returns).pow(2).mean()
            loss = aim + critic_weight * miss - entropy_weight * entropy
            for network in (actor, critic):
                network.zero_grad()
            loss.backward()
            norm = grad_norm([*actor.parameters(), *critic.parameters()])
            optimizer.step()
            parts = {"policy": (1.0, aim), "entropy": (-entropy_weight, entropy)}
            if critic_weight:
                parts["value"] = (critic_weight, miss)
            rec.step(loss=loss, samples=games, **({"terms": parts, "grad_norm": norm} if terms else {}))
            earned += float(reward.sum(0).mean()) / updates
            spread, missed = spread + entropy.item() / updates, missed + miss.item() / updates
        metrics = dict(zip(names, (earned, spread, missed), strict=False))
        if evaluate:
            judged = old if fault == "policy of the start" else actor
            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(4)
                metrics["eval_reward"] = float(play(partial(greedy, judged), 64)[2].sum(0).mean())
        rec.epoch(epoch + first, **metrics)


A2C = {"env": "corridor", "lr": 5e-3, "games": 32, "entropy_weight": 0.01}
hold = partial(
    actor_critic, game="balance", rate=1e-2, updates=6, names=("ep_reward_mean", "policy_entropy", "value_loss")
)
PROGRAMS: Sequence[Program] = (
    healthy(
        "corridor_a2c",
        "The loss means nothing: it is 0.1 at first and -0.01 at the end; entropy falls as the policy becomes sure.",
        actor_critic,
        config=A2C,
    ),
    healthy(
        "corridor_reinforce",
        "No critic, eight games an update: a noisy loss that ends above its start; only the reward is recorded.",
        partial(actor_critic, critic_weight=0.0, games=8, terms=False, updates=15, first=0, names=("mean_reward",)),
    ),
    healthy(
        "corridor_unshaped",
        "The reward is 1 to the last digit from the eighth epoch on, because every game is won.",
        partial(actor_critic, shaped=False, updates=10, epochs=24),
    ),
    healthy(
        "corridor_grows",
        "The corridor becomes longer twice, and the reward falls each time.",
        partial(actor_critic, grows=True, epochs=30),
    ),
    healthy("balance_a2c", "The value loss grows with the reward, from 22 to 42.", hold),
    healthy(
        "corridor_a2c_eval",
        "The greedy policy is perfect from the second epoch on: its reward is a constant afterwards.",
        partial(actor_critic, evaluate=True),
        config=A2C,
    ),
    broken(
        "corridor_sign",
        "the policy's loss has the wrong sign",
        "loss_sign",
        "The reward falls from that of chance to the lowest there is and stays.",
        partial(actor_critic, fault="sign"),
        config=A2C,
    ),
    broken(
        "corridor_other_games",
        "returns belong to other games",
        "label_mismatch not_learning",
        "Reward and entropy stay near those of chance for 20 epochs.",
        partial(actor_critic, fault="returns of other games"),
        config=A2C,
    ),
    broken(
        "corridor_entropy_5",
        "the weight of the entropy is 5 instead of 0.01",
        "dominant_term",
        "Entropy is ln 3 to the third digit throughout; its term is a hundred times the others.",
        partial(actor_critic, entropy_weight=5.0),
        config={**A2C, "entropy_weight": 5.0},
    ),
    broken(
        "corridor_actor_forgotten",
        "the actor's weights are not in the optimizer",
        "weights_never_move not_learning",
        "Entropy does not move in the fourth digit and the reward stays at that of chance.",
        partial(actor_critic, fault="actor forgotten"),
        config=A2C,
    ),
    broken(
        "corridor_rate_1",
        "a learning rate of 1 instead of 5e-3",
        "learning_rate_too_high collapsed_representation",
        "The value loss jumps to 200 and entropy to 1e-19 within two epochs; the reward ends below that of chance.",
        partial(actor_critic, rate=1.0),
        config={**A2C, "lr": 1.0},
    ),
    broken(
        "corridor_old_policy",
        "a copy made before the training is evaluated",
        "metric_constant",
        "The evaluated reward is -0.42 in every epoch while the reward in training rises to 0.9.",
        partial(actor_critic, fault="policy of the start", evaluate=True),
        config=A2C,
    ),
    broken(
        "balance_column",
        "log-probabilities [N, 1] are multiplied by gains [N]",
        "not_learning label_mismatch",
        "The reward stays at that of chance, 8 of 40, while the value loss falls.",
        partial(hold, fault="column of chances"),
    ),
)
