"""Mamba2 (Dao and Gu 2024): residual blocks of selective state space mixers; no kernels of other packages needed.

The original project never ran one: mamba-ssm was not installed, and what they called Mamba2 was a GRU stack (history
2). Here that stack is built only on request, and the model says so in its notes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.lvm.parts.blocks import ResidualBlock, gru_stack
from models.lvm.parts.ssd import fits_fused, fused_kernel, scan
from models.lvm.parts.vector_model import Variant, VectorModel, check_choice, check_divides, output_head

FALLBACKS = ("none", "gru")
DT_RANGE = 1e-3, 1e-1  # of the step sizes at the start, as in the paper's code
DECAY_RANGE = 1.0, 16.0  # of -A at the start


class Mamba2(VectorModel):
    """``raw = head(h_T)`` with ``h`` the context mapped by a Linear, then by ``layers`` blocks ``h + mixer(LN(h))``.

    7,669,184 parameters at the default widths; 7,359,232 with fallback "gru". ``chunk`` is no part of the function: it
    only says how the scan is cut.

    Args:
        input_dim: D, width of a vector; the output has the same width.
        hidden_dim: width of the blocks.
        layers: number of blocks.
        state_dim: N, width of a head's state beside its values.
        head_dim: P, values of a head; divides ``expand * hidden_dim``.
        expand: inner width of a mixer over ``hidden_dim``.
        groups: how many pairs of input and output maps the heads share; divides their number.
        conv_width: steps that the causal convolution sees.
        chunk: steps of a chunk.
        fallback: "gru" for GRUs in place of the mixers, as the original project had; never taken unless asked for.
    """

    variants = (Variant("Mamba2"), Variant("12 to 16 October: GRUs", fallback="gru"))

    def __init__(
        self,
        input_dim: int = 768,
        hidden_dim: int = 512,
        layers: int = 4,
        state_dim: int = 64,
        head_dim: int = 64,
        expand: int = 2,
        groups: int = 1,
        conv_width: int = 4,
        chunk: int = 64,
        fallback: str = "none",
    ) -> None:
        super().__init__(input_dim)
        self.fallback = check_choice(self, "fallback", fallback, FALLBACKS)
        heads = check_divides(self, "head_dim", head_dim, "expand * hidden_dim", expand * hidden_dim)
        check_divides(self, "groups", groups, "the number of heads", heads)
        self.chunk = chunk
        self.embed = nn.Linear(input_dim, hidden_dim)
        if fallback == "gru":
            self.body = gru_stack(hidden_dim, layers, norm="pre")
        else:
            sizes = (heads, head_dim, groups, state_dim, conv_width, chunk)
            self.body = nn.Sequential(
                *(ResidualBlock(_Mixer(hidden_dim, *sizes), hidden_dim, norm="pre") for _ in range(layers))
            )
        self.out = output_head(hidden_dim, input_dim)

    @property
    def notes(self) -> tuple[str, ...]:
        if self.fallback == "gru":
            return ('mamba2: GRUs stand in for the state space mixers, as asked for by fallback = "gru"',)
        kernel = fused_kernel()[1]
        if fits_fused(self.embed.weight, self.chunk):
            return (f"mamba2: fused scan of {kernel}",)
        device = self.embed.weight.device.type
        return (f"mamba2: scan in plain PyTorch on {device}" + (f" ({kernel})" if device == "cuda" else ""),)

    def raw(self, x: Tensor) -> Tensor:
        prediction: Tensor = self.out(self.body(self.embed(x))[:, -1])
        return prediction


class _Mixer(nn.Module):
    """One Mamba2 layer [B, T, width] to the same; step t sees steps up to t.

    Projection to gate z, values x, maps B and C and step sizes; causal depthwise convolution and SiLU over (x, B, C);
    scan with one decay a head and a skip D; RMSNorm of the output gated by SiLU(z), over each group; projection back.
    """

    def __init__(
        self, width: int, heads: int, head_dim: int, groups: int, state_dim: int, conv_width: int, chunk: int
    ) -> None:
        super().__init__()
        self.heads, self.groups, self.chunk = heads, groups, chunk
        inner, maps = heads * head_dim, groups * state_dim
        self.parts = [inner, inner + 2 * maps, heads]
        self.values = [inner, maps, maps]
        self.in_proj = nn.Linear(width, sum(self.parts), bias=False)
        self.conv = nn.Conv1d(self.parts[1], self.parts[1], conv_width, groups=self.parts[1])
        low, high = DT_RANGE
        dt = torch.exp(math.log(low) + torch.rand(heads) * math.log(high / low))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus
        self.log_decay = nn.Parameter(torch.empty(heads).uniform_(*DECAY_RANGE).log())
        self.skip = nn.Parameter(torch.ones(heads))
        self.norm = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, u: Tensor) -> Tensor:
        z, mixed, dt = torch.split(self.in_proj(u), self.parts, dim=2)
        seen = F.pad(mixed.transpose(1, 2), (self.conv.kernel_size[0] - 1, 0))
        x, b, c = torch.split(F.silu(self.conv(seen)).transpose(1, 2), self.values, dim=2)
        x = torch.unflatten(x, 2, (self.heads, -1))
        b, c = (torch.unflatten(each, 2, (self.groups, -1)) for each in (b, c))
        y = scan(x, F.softplus(dt + self.dt_bias), -self.log_decay.exp(), b, c, chunk=self.chunk)
        gated = (y + self.skip.unsqueeze(1) * x).flatten(2) * F.silu(z)
        grouped = torch.unflatten(gated, 2, (self.groups, -1))
        normed = F.rms_norm(grouped, (grouped.shape[3],), eps=1e-5).flatten(2) * self.norm
        out: Tensor = self.out_proj(normed)
        return out
