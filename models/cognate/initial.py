"""Initial weights in the manner of GPT-2 (Radford et al. 2019), at any width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from models.cognate.blocks import Layer

if TYPE_CHECKING:
    from models.cognate.model import Cognate

GAIN = 0.5
"""Of a map, times the inverse root of its input's width: 0.02 at the width of 625; GPT-2 has 0.02 at 768."""
EMBEDDING = 0.02
"""Of an embedding: the head reads normed states with it, so the first loss is near ln V."""


def start(model: Cognate) -> None:
    """Draws every weight from torch's global generator; what adds to the residual path starts smaller by the root of
    the number of additions, biases at zero, and the halting head where all steps are about as likely.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=GAIN * module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=EMBEDDING)
    layers = [module for module in model.modules() if isinstance(module, Layer)]
    for layer in layers:
        for added in (layer.attention.out, layer.mlp.down):
            nn.init.normal_(added.weight, std=GAIN * (2 * len(layers) * added.in_features) ** -0.5)
    model.halting.start()
