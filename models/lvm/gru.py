"""The GRU stack: residual blocks of one GRU each, in the original project's two generations (history 2)."""

from __future__ import annotations

from torch import Tensor, nn

from models.lvm.parts.blocks import NORMS, gru_stack
from models.lvm.parts.vector_model import Variant, VectorModel, check_choice, output_map


class GRU(VectorModel):
    """``raw = out(h_T)`` with ``h`` the context mapped by a Linear, then by ``layers`` residual GRUs (Cho et al. 2014).

    7,095,552 parameters at the default widths (norm "post", no head), 7,359,232 with norm "pre" and head, which is what
    the original project trained under the name of Mamba2.

    Args:
        input_dim: D, width of a vector; the output has the same width.
        hidden_dim: width of the blocks.
        layers: number of blocks.
        norm: "post" for ``LN(h + GRU(h))``, "pre" for ``h + GRU(LN(h))``.
        head: Linear, GELU, LayerNorm, Linear at the end in place of one Linear.
    """

    variants = (Variant("16 October on"), Variant("12 to 16 October", norm="pre", head=True))

    def __init__(
        self, input_dim: int = 768, hidden_dim: int = 512, layers: int = 4, norm: str = "post", head: bool = False
    ) -> None:
        super().__init__(input_dim)
        check_choice(self, "norm", norm, NORMS)
        self.embed = nn.Linear(input_dim, hidden_dim)
        self.body = gru_stack(hidden_dim, layers, norm=norm)
        self.out = output_map(hidden_dim, input_dim, head=head)

    def raw(self, x: Tensor) -> Tensor:
        prediction: Tensor = self.out(self.body(self.embed(x))[:, -1])
        return prediction
