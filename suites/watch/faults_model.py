"""Silent errors of loss terms, optimizers, initialisation and copies, one in each; without a fault it is the twin."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvmcheck import Recorder

STEPS = 50


class TwoHeads(nn.Module):
    """A body, logits of three classes and a number."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.label, self.number = nn.Linear(32, 3), nn.Linear(32, 1)
        if fault == "hidden_layer_constant":
            nn.init.constant_(self.body[2].weight, 0.02)
            nn.init.zeros_(self.body[2].bias)
            nn.init.constant_(self.label.weight, 0.1)
            nn.init.constant_(self.number.weight, 0.1)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.body(inputs)
        return self.label(hidden), self.number(hidden)[:, 0]


def two_heads(rec: Recorder, fault: str) -> None:
    """Two terms and a slow copy, two parts a step, warm-up; Adam, or gradient descent where clipping is at fault."""
    half = torch.bfloat16 if fault == "half_precision_slow" else torch.float32
    inputs, mix = torch.randn(256, 12), torch.randn(12, 4)
    labels, numbers = (inputs @ mix[:, :3]).argmax(1), (inputs @ mix[:, 3]).to(half) / 4
    model = TwoHeads(fault).to(half)
    slow = copy.deepcopy(model).requires_grad_(False)
    optimizer = _optimizer(model, fault)
    warm = 3000 if fault == "warm_up_too_long" else 5
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warm))
    rec.watch(model, optimizer, scheduler)
    clipped = fault == "clipped_to_nothing"
    for step in range(STEPS):
        optimizer.zero_grad()
        total = 0.0
        for rows in torch.randperm(256)[: 32 if clipped else 64].split(32):
            if fault == "cleared_between_parts":
                optimizer.zero_grad()
            loss = _loss(model, slow, inputs[rows].to(half), labels[rows], numbers[rows], fault)
            loss = loss if clipped else loss / 2
            loss.backward()
            total += float(loss.detach())
        if clipped:
            nn.utils.clip_grad_norm_(model.parameters(), 0.005)
        optimizer.step()
        scheduler.step()
        if fault != "copy_forgotten":
            with torch.no_grad():
                for old, new in zip(slow.parameters(), model.parameters(), strict=True):
                    old.lerp_(new, 0.1)
        rec.step(loss=total)
        if step % 10 == 9:
            rec.epoch(step // 10)


def _loss(model: nn.Module, slow: nn.Module, inputs: Tensor, labels: Tensor, numbers: Tensor, fault: str) -> Tensor:
    logits, guess = model(inputs)
    with torch.no_grad():
        aim = slow(inputs + 0.1 * torch.randn_like(inputs))[1]
    if fault == "hinge_never_active":
        return F.relu(logits.abs().mean() - 100).float()
    named = 0.0 if fault == "term_times_zero" else 1.0
    loss = named * F.cross_entropy(logits.float(), labels) + 0.1 * F.mse_loss(guess, aim).float()
    weight = 500.0 if fault == "weight_of_500" else 0.5
    loss = loss + weight * F.mse_loss(guess, numbers).float()
    if fault == "penalty_is_a_number":
        loss = loss + 0.02 * sum(float(p.detach().square().sum()) for p in model.parameters())
    return loss


def _optimizer(model: TwoHeads, fault: str) -> torch.optim.Optimizer:
    if fault == "clipped_to_nothing":
        return torch.optim.SGD(model.parameters(), lr=0.1)
    heads = [*model.label.parameters(), *model.number.parameters()]
    rate = {"rate_of_0_1": 0.3, "half_precision_slow": 1e-5}.get(fault, 3e-3)
    body = 3e-9 if fault == "body_stands_still" else rate
    decay = 15.0 if fault == "decay_of_15" else 0.01
    eps = 10.0 if fault == "epsilon_of_10" else 1e-8
    groups = [{"params": list(model.body.parameters()), "lr": body}, {"params": heads}]
    return torch.optim.AdamW(groups, lr=rate, eps=eps, weight_decay=decay)


CHECKS = [
    (
        two_heads,
        {
            "penalty_is_a_number": "loss_terms_have_gradient",
            "weight_of_500": "loss_terms_balanced",
            "body_stands_still": "parts_keep_pace",
            "half_precision_slow": "updates_survive_rounding",
            "epsilon_of_10": "epsilon_small",
            "decay_of_15": "weight_decay_small",
            "hidden_layer_constant": "units_differ",
            "cleared_between_parts": "accumulated_gradients_kept",
            "copy_forgotten": "ema_follows",
            "warm_up_too_long": "warm_up_ends",
            "clipped_to_nothing": "clipping_leaves_gradient",
            "rate_of_0_1": "first_updates_small",
            "term_times_zero": "gradient_reaches",
            "hinge_never_active": "gradient_at_step",
        },
    )
]
