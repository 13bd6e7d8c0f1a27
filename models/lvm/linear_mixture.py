"""The linear mixture: a weighted mean of the context, then one linear map (history 19)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lvmcheck.errors import InputError
from models.lvm.parts.vector_model import Variant, VectorModel, check_choice

WEIGHTS = ("free", "softmax")


class LinearMixture(VectorModel):
    """``raw = W sum_t w_t x_t + b``: what is linear in the context, with one weight a position.

    768 * 768 + 768 + 5 = 590,597 parameters at the default width, 147,845 at 384. The original project never compared
    with it; on real text it beats AMN by 0.03. It starts as the mean of the context (equal weights, the identity map),
    so from the first step on whatever it learns is beyond that baseline, and it sees the order from then on.

    Args:
        input_dim: D, width of a vector; the output has the same width.
        context: T, the only context length it can be used at.
        weights: "free" for any ``w``, "softmax" for positive weights that sum to 1.
    """

    variants = (Variant("free weights"), Variant("softmax weights", weights="softmax"))

    def __init__(self, input_dim: int = 768, context: int = 5, weights: str = "free") -> None:
        super().__init__(input_dim)
        self.softmax = check_choice(self, "weights", weights, WEIGHTS) == "softmax"
        self.position = nn.Parameter(torch.zeros(context) if self.softmax else torch.full((context,), 1.0 / context))
        self.out = nn.Linear(input_dim, input_dim)
        nn.init.eye_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def raw(self, x: Tensor) -> Tensor:
        weights = self.position.softmax(dim=0) if self.softmax else self.position
        prediction: Tensor = self.out(torch.einsum("t,btd->bd", weights, x))
        return prediction

    def check_context(self, x: Tensor) -> None:
        """Raises InputError when ``x`` is not [B, context, input_dim]."""
        super().check_context(x)
        if x.shape[1] != len(self.position):
            problem = f"expected a context of {len(self.position)} vectors, got {x.shape[1]}"
            raise InputError(f"model {self.kind}", problem, key="run.model.context")
