"""A small Cognate and batches for it: what its properties are tested on."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from models.cognate.model import Cognate
from models.cognate.objective import language_terms

VOCABULARY = 23
SMALL: dict[str, Any] = {
    "d_model": 16,
    "layers": 2,
    "d_ff": 24,
    "d_mem": 6,
    "head_dim": 8,
    "max_length": 160,
    "trm_heads": 2,
}


def small(seed: int = 0, **changes: Any) -> Cognate:
    """A small model from torch's global generator at ``seed``, in evaluation mode."""
    torch.manual_seed(seed)
    return Cognate(VOCABULARY, **{**SMALL, **changes}).eval()


def exact(seed: int = 0, **changes: Any) -> Cognate:
    """The same in float64, with larger weights, so that what should not matter would show."""
    model = small(seed, **changes).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(3.0)
    return model


def some_tokens(batch: int, steps: int, seed: int = 0) -> Tensor:
    """Tokens [batch, steps]."""
    return torch.randint(VOCABULARY, (batch, steps), generator=torch.Generator().manual_seed(seed))


def packed(lengths: list[int], total: int) -> Tensor:
    """Segments [1, total]: records 1, 2, ... of these lengths, then padding."""
    ids = [number for number, length in enumerate(lengths, start=1) for _ in range(length)]
    return torch.tensor([ids + [0] * (total - len(ids))])


def counting(batch: int, steps: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Tokens and targets that can be learned: every third token is drawn, the next two count up from it."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.arange(steps + 1)
    drawn = torch.randint(VOCABULARY, (batch, steps // 3 + 1), generator=generator)
    rows = (drawn[:, place // 3] + place % 3) % VOCABULARY
    return rows[:, :-1].clone(), rows[:, 1:].clone()


def train(model: Cognate, steps: int, weights: dict[str, float], lr: float = 1e-2) -> list[float]:
    """Cross-entropies of ``steps`` steps on fresh batches; leaves the model in evaluation mode."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    model.train()
    losses = []
    for step in range(steps):
        tokens, targets = counting(8, 24, seed=step)
        terms = language_terms(model, model(tokens), targets, weights)
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(terms["ce"][1].detach()))
    model.eval()
    return losses


def terms_of(model: Cognate, weights: dict[str, float]) -> dict[str, tuple[float, Tensor]]:
    """The terms of a small batch, not all of which is scored."""
    tokens, targets = counting(4, 12)
    targets[0, 5:] = -100
    return language_terms(model, model(tokens), targets, weights)


@cache
def trained() -> Cognate:
    """One that has learned :func:`counting`, in evaluation mode; whoever changes it puts it back."""
    model = small(d_model=32, d_mem=12)
    train(model, 110, {"ce": 1.0, "ponder": 0.01, "halting_calibration": 0.3})
    return model
