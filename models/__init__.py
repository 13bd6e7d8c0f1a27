"""The models, their data and their trainers; ``python -m models --help`` trains, tests, talks to and serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["create_model"]


def create_model(kind: str, **params: object) -> nn.Module:
    """A new model by the name of its kind, such as ``create_model("amn", input_dim=768)``.

    torch is imported here, and not with the package.

    Raises:
        InputError: as :func:`models.registry.build`.
    """
    from models.registry import build

    return build(kind, **params)
