"""Every kind in every variant it names, at small widths: what the shared properties are tested on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models import registry
from models.lvm.parts.vector_model import VectorModel

CONTEXT = 5
SMALL = {"d_model": 16, "hidden_dim": 16, "layers": 2, "heads": 2, "ffn_dim": 32, "state_dim": 4, "head_dim": 8}
"""Widths for tests, given to each kind that has a parameter of that name."""


def model_class(kind: str) -> type[VectorModel]:
    """The class of a kind, taken from a model built without memory."""
    with torch.device("meta"):
        model = registry.build(kind)
    assert isinstance(model, VectorModel)
    return type(model)


FAMILY = [(kind, variant.what) for kind in registry.model_kinds() for variant in model_class(kind).variants]


def options(kind: str, what: str) -> dict[str, Any]:
    """The parameters of a variant beyond its defaults."""
    return dict(next(variant.options for variant in model_class(kind).variants if variant.what == what))


def small_options(kind: str, what: str) -> dict[str, Any]:
    """The same at small widths."""
    known = registry.source(kind).parameters
    return {**{name: value for name, value in SMALL.items() if name in known}, **options(kind, what)}


def small(kind: str, what: str, input_dim: int = 12, seed: int = 0, **other: int) -> VectorModel:
    """A small model from torch's global generator at ``seed``; ``other`` sizes where the kind has them."""
    torch.manual_seed(seed)
    sizes = {name: value for name, value in other.items() if name in registry.source(kind).parameters}
    model = registry.build(kind, **{"input_dim": input_dim, **small_options(kind, what), **sizes})
    assert isinstance(model, VectorModel)
    return model


def contexts(batch: int, width: int = 12, seed: int = 0, steps: int = CONTEXT) -> Tensor:
    """Unit vectors [batch, steps, width]."""
    x = torch.randn(batch, steps, width, generator=torch.Generator().manual_seed(seed))
    return x / x.norm(dim=-1, keepdim=True)


def drifts(batch: int, width: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Contexts and targets that can be learned: a random walk on the sphere, whose last vectors say the most."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(batch, CONTEXT + 1, width, generator=generator).cumsum(dim=1)
    chunks = steps / steps.norm(dim=-1, keepdim=True)
    return chunks[:, :CONTEXT], chunks[:, CONTEXT]


def train(model: VectorModel, steps: int, lr: float = 1e-2, seed: int = 0) -> list[float]:
    """Losses of ``steps`` steps on fresh batches of 32."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    losses = []
    model.train()
    for step in range(steps):
        x, target = drifts(32, model.input_dim, seed=1000 * seed + step)
        loss = (model(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
