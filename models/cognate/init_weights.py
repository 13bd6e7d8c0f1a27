"""Initial weights in the manner of GPT-2 (Radford et al. 2019), at any width."""

from __future__ import annotations

from torch import nn

from models.cognate.blocks import Layer

GAIN = 0.5
"""Of a map, times the inverse root of its input's width: 0.02 at the width of 625; GPT-2 has 0.02 at 768."""
EMBEDDING = 0.02
"""Of an embedding: the head reads normed states with it, so the first loss is near ln V."""


def init_weights(model: nn.Module) -> None:
    """Draws every weight from torch's global generator. Biases are zero; maps that add to the residual path are smaller
    by the root of the number of additions.
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
