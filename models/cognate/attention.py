"""Causal attention inside a window and a record, with the keys of earlier calls where a stream goes on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.cognate.layout import Layout
from models.cognate.linear import Linear
from models.cognate.state import KeyValue

FASTEST = 1000.0  # turns of the first pair of values over those of the last, in rotary positions


def attend(query: Tensor, keys: KeyValue, layout: Layout) -> Tensor:
    """Scaled dot-product attention, [B, T, heads * width] of queries [B, heads, T, width]."""
    key, value = keys
    causal = layout.mask is None and query.shape[2] == key.shape[2]  # a single query after others sees all of them
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=layout.mask, is_causal=causal)
    return mixed.transpose(1, 2).flatten(2)


def split(x: Tensor, heads: int) -> Tensor:
    """[B, T, heads * width] as [B, heads, T, width]."""
    return torch.unflatten(x, 2, (heads, -1)).transpose(1, 2)


def joined(past: KeyValue | None, keys: KeyValue) -> KeyValue:
    """Earlier keys and values before the new ones."""
    if past is None:
        return keys
    return torch.cat((past[0], keys[0]), dim=2), torch.cat((past[1], keys[1]), dim=2)


def turned(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021): queries or keys [B, heads, T, width] turned by positions [B or 1, T], so that
    their products depend on how far apart they are.
    """
    half = x.shape[3] // 2
    rate = FASTEST ** (-torch.arange(half, dtype=torch.float32, device=x.device) / half)
    angle = positions.unsqueeze(1).unsqueeze(3) * rate
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    one, other = x[..., :half], x[..., half:]
    return torch.cat((one * cosine - other * sine, one * sine + other * cosine), dim=3)


class SelfAttention(nn.Module):
    """Of a sequence to itself, without biases: query, key, value and output maps, 4 d^2 parameters.

    ``rotary`` turns queries and keys by their position inside the record.
    """

    def __init__(self, width: int, heads: int, *, rotary: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.rotary = rotary
        self.qkv = Linear(width, 3 * width, bias=False)
        self.out = Linear(width, width, bias=False)

    def forward(self, x: Tensor, layout: Layout, past: KeyValue | None) -> tuple[Tensor, KeyValue]:
        """[B, T, d] to the same, and the keys and values of all positions so far."""
        query, key, value = (split(part, self.heads) for part in self.qkv(x).chunk(3, dim=2))
        if self.rotary:
            query, key = turned(query, layout.positions), turned(key, layout.positions)
        keys = joined(past, (key, value))
        mixed: Tensor = self.out(attend(query, keys, layout))
        return mixed, keys


class CrossAttention(nn.Module):
    """Of one sequence to another over the same positions; the shapes of nn.MultiheadAttention, 4 d^2 + 4 d parameters.

    Keys and values are made by :meth:`keys`, once for all queries that look at them.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width)
        self.kv = Linear(width, 2 * width)
        self.out = Linear(width, width)

    def keys(self, x: Tensor, past: KeyValue | None) -> KeyValue:
        """Keys and values of ``x`` [B, T, d] after those of earlier positions."""
        return joined(past, self.own_keys(x))

    def own_keys(self, x: Tensor) -> KeyValue:
        """Keys and values of ``x`` [B, T, d] alone."""
        key, value = (split(part, self.heads) for part in self.kv(x).chunk(2, dim=2))
        return key, value

    def forward(self, x: Tensor, keys: KeyValue, layout: Layout) -> Tensor:
        """What the queries ``x`` [B, T, d] find in ``keys``, [B, T, d]."""
        found: Tensor = self.out(attend(split(self.query(x), self.heads), keys, layout))
        return found
