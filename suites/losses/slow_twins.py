"""The loss terms again, in plain Python and in float64: what the fast ones are compared with."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.losses import unit


def draw(batch: int, width: int, seed: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Raw predictions [B, D] and unit targets [B, D] in float64."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(batch, width, generator=generator, dtype=torch.float64) * scale
    return raw, unit(torch.randn(batch, width, generator=generator, dtype=torch.float64))


def squared(value: float) -> float:
    return value * value


def spread(column: list[float]) -> float:
    mean = sum(column) / len(column)
    return math.sqrt(sum(squared(v - mean) for v in column) / (len(column) - 1))


def slow(term: str, raw: list[list[float]], target: list[list[float]], tau: float) -> float:
    """The definitions again, in plain Python."""
    size, width = len(raw), len(raw[0])
    lengths = [math.sqrt(sum(v * v for v in row)) for row in raw]
    q = [[v / n for v in row] for row, n in zip(raw, lengths, strict=True)]
    if term == "mse":
        pairs = [pair for one, other in zip(raw, target, strict=True) for pair in zip(one, other, strict=True)]
        return sum(squared(p - y) for p, y in pairs) / len(pairs)
    if term == "info_nce":
        logits = [[sum(a * b for a, b in zip(qi, yj, strict=True)) / tau for yj in target] for qi in q]
        total = 0.0
        for table in (logits, [list(column) for column in zip(*logits, strict=True)]):
            for i, row in enumerate(table):
                top = max(row)
                total += (top + math.log(sum(math.exp(v - top) for v in row)) - row[i]) / size
        return total
    if term == "moment":
        columns = list(zip(zip(*raw, strict=True), zip(*target, strict=True), strict=True))
        mean = sum(squared(sum(p) / size - sum(y) / size) for p, y in columns) / width
        return mean + sum(squared(spread(list(p)) - spread(list(y))) for p, y in columns) / width
    return sum(max(0.0, 1.0 - spread(list(column))) for column in zip(*q, strict=True)) / width
