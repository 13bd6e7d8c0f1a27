"""A walk to a goal by policy gradients and values; a student of a teacher; adapters on a frozen base."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from suites.gallery.silent._kit import BEFORE, Family

STATES, ACTIONS = 16, 4


class Actor(nn.Module):
    """Logits of actions and, aside, a value."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(STATES, 32), nn.Tanh())
        self.policy, self.value = nn.Linear(32, ACTIONS), nn.Linear(32, 1)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(state)
        return self.policy(h), self.value(h)


def train_walk(rec: Any, variant: str) -> Any:
    """Contexts with one good action each; the reward is noisy and comes at once."""
    torch.manual_seed(51)
    g = torch.Generator().manual_seed(8)
    worth = torch.randn(STATES, ACTIONS, generator=g)
    best = worth.max(1).values.mean()
    model = Actor()
    critic = variant in ("critic", "critic_broadcasts", "critic_left_out", "value_rules")
    parameters = list(model.parameters())
    if variant == "critic_left_out":
        parameters = [*model.body.parameters(), *model.policy.parameters()]
    if not critic:
        model.value.requires_grad_(False)
        parameters = [*model.body.parameters(), *model.policy.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    rec.watch(model, optimizer)
    history = []
    for step in range(200):
        state = torch.randint(0, STATES, (64,))
        logits, value = model(F.one_hot(state, STATES).float())
        if variant == "policy_softmax_twice":
            logits = logits.softmax(1)
        chosen = torch.distributions.Categorical(logits=logits)
        action = chosen.sample()
        reward = worth[state, action] + 0.3 * torch.randn(64)
        advantage = reward - reward.mean()
        if critic:
            advantage = reward - value.detach()[:, 0]
        log_prob = chosen.log_prob(action)
        if variant == "log_prob_detached":
            log_prob = log_prob.detach()
        loss = -(log_prob * advantage).mean() - 0.01 * chosen.entropy().mean()
        if critic:
            target = reward if variant == "critic_broadcasts" else reward.unsqueeze(1)
            loss = loss + (500.0 if variant == "value_rules" else 0.5) * F.mse_loss(value, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rec.step(loss=loss, reward=reward.mean())
        if step % 25 == 24:
            with torch.no_grad():
                greedy = model(torch.eye(STATES))[0].argmax(1)
            score = float(worth[torch.arange(STATES), greedy].mean() / best)
            rec.epoch(step // 25, eval_return=score)
            history.append(score)
    return SimpleNamespace(model=model, optimizer=optimizer, history=history, chance=float(worth.mean() / best))


def train_values(rec: Any, variant: str) -> Any:
    """Values of a chain of states, with a target net."""
    torch.manual_seed(52)
    model = nn.Sequential(nn.Linear(STATES, 32), nn.ReLU(), nn.Linear(32, 2))
    target = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    rec.watch(model, optimizer)
    eye, history = torch.eye(STATES), []
    for step in range(320):
        state, action = torch.randint(0, STATES - 1, (64,)), torch.randint(0, 2, (64,))
        after = (state + 2 * action - 1).clamp(0)
        done = after == STATES - 1
        with torch.no_grad():
            future = target(eye[after]).max(1).values
        aim = done.float() + 0.9 * future * ~done
        loss = F.smooth_l1_loss(model(eye[state]).gather(1, action[:, None])[:, 0], aim)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 8 == 7 and variant != "values_target_forgotten":
            target.load_state_dict(model.state_dict())
        rec.step(loss=loss)
        if step % 40 == 39:
            with torch.no_grad():
                right = float((model(eye[:-1]).argmax(1) == 1).float().mean())
            rec.epoch(step // 40, eval_right=right)
            history.append(right)
    return SimpleNamespace(model=model, optimizer=optimizer, history=history, chance=0.5, target=target)


class Lora(nn.Module):
    """A linear layer with an adapter of low rank."""

    def __init__(self, base: nn.Linear, variant: str) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(4, base.in_features) / base.in_features**0.5)
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, 4))
        if variant == "lora_both_zero":
            nn.init.zeros_(self.lora_a)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + 2 * (x @ self.lora_a.T @ self.lora_b.T)


def blobs(rows: int, seed: int, turn: float) -> tuple[Tensor, Tensor]:
    centres = torch.randn(5, 12, generator=torch.Generator().manual_seed(3))
    g = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 5, (rows,), generator=g)
    x = centres[label] + 1.1 * torch.randn(rows, 12, generator=g)
    return x + turn * x.roll(1, 1), label


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 5))


def train_adapted(rec: Any, variant: str) -> Any:
    torch.manual_seed(53)
    base = perceptron()
    x, y = blobs(640, 1, 0.0)
    before = torch.optim.Adam(base.parameters(), lr=5e-3)
    for _ in range(5):
        for rows in torch.randperm(len(x)).split(64):
            before.zero_grad()
            F.cross_entropy(base(x[rows]), y[rows]).backward()
            before.step()
    before.zero_grad()
    x, y = blobs(640, 2, -0.9)
    vx, vy = blobs(256, 3, -0.9)
    teacher = None
    if variant.startswith("lora"):
        model = nn.Sequential(Lora(base[0], variant), base[1], Lora(base[2], variant), base[3], base[4])
        model[4].requires_grad_(variant != "lora")  # the head learns beside the adapters, or not
        parameters = [p for p in model.parameters() if p.requires_grad]
        if variant == "lora_base_in_optimizer":
            parameters = list(before.param_groups[0]["params"])
    else:
        teacher = copy.deepcopy(base)
        x, y = blobs(640, 2, 0.0)
        vx, vy = blobs(256, 3, 0.0)
        model = nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 5))
        parameters = list(model.parameters())
        if variant == "student_teacher_in_optimizer":
            parameters += list(teacher.parameters())
        else:
            teacher.requires_grad_(False)
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    loader = DataLoader(TensorDataset(x, y), 64, shuffle=True)
    rec.watch(model, optimizer, train=loader, val=DataLoader(TensorDataset(vx, vy), 256))
    history = []
    for epoch in range(10):
        model.train()
        for xb, yb in loader:
            output = model(xb)
            if teacher is None:
                loss = F.cross_entropy(output, yb)
            else:
                aim = teacher(xb)
                if variant != "student_teacher_in_optimizer":
                    aim = aim.detach()
                loss = F.kl_div(F.log_softmax(output / 2, 1), F.softmax(aim / 2, 1), reduction="batchmean") * 4
                if variant == "student_and_labels":
                    loss = 0.7 * loss + 0.3 * F.cross_entropy(output, yb)
                if variant == "student_softmax_over_batch":
                    loss = F.kl_div(F.log_softmax(output / 2, 0), F.softmax(aim / 2, 0), reduction="batchmean") * 4
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rec.step(loss=loss)
        model.eval()
        with torch.no_grad():
            output = model(vx)
        accuracy = float((output.argmax(1) == vy).float().mean())
        rec.epoch(epoch, val_loss=float(F.cross_entropy(output, vy)), val_accuracy=accuracy)
        history.append(accuracy)
    return SimpleNamespace(model=model, optimizer=optimizer, history=history, chance=0.2, teacher=teacher, base=base)


def train(rec: Any, variant: str = "clean") -> Any:
    if variant.startswith("values"):
        return train_values(rec, variant)
    return (train_adapted if variant.startswith(("lora", "student")) else train_walk)(rec, variant)


family = Family("agents", train)
family.broken(
    "log_prob_detached", "the log-probability is detached: only the entropy trains", "detached_loss", "step 1"
)
family.broken("critic_broadcasts", "values [N, 1], rewards [N]", "broadcast_in_loss", "step 1")
family.broken("critic_left_out", "the value head is not in the optimizer", "missing_from_optimizer", BEFORE)
family.broken("value_rules", "the value term has a weight of 500", "term_dominates", "step 1")
family.broken("policy_softmax_twice", "probabilities as logits", "probabilities_for_logits", "step 1")
family.broken("values_target_forgotten", "the target net is never updated", "ema_never_updated", "step 8")
family.broken(
    "lora_base_in_optimizer",
    "the optimizer holds the base's parameters and not the adapters",
    "missing_from_optimizer",
    BEFORE,
)
family.broken("lora_both_zero", "both factors of the adapters start at 0", "zero_init", "step 1")
family.broken("student_teacher_in_optimizer", "the teacher follows the student", "foreign_parameters", BEFORE)
family.broken("student_softmax_over_batch", "softmax over the rows", "softmax_wrong_axis", "step 1")
family.sound("clean", "the loss of a policy gradient does not fall; batches differ; a head is frozen since unused")
family.sound("critic", "advantages are detached")
family.sound("values", "targets from a net that is copied every 8 steps")
family.sound("lora", "adapters start without effect, the base is frozen")
family.sound("lora_and_head", "adapters and a head train, the base is frozen")
family.sound("student", "a frozen teacher gives the targets")
family.sound("student_and_labels", "two terms on the same output")
PROGRAMS = family.programs
