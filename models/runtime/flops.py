"""Floating point operations of a training sample, counted from what torch really executes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from lvmcheck.testing.speed.flops import Counter
from models import registry


def training_flops(kind: str, params: Mapping[str, Any], *, context: int, width: int) -> float:
    """Operations of forward and backward for one sample, counted on a model of its own with two rows.

    The random state stays as it was.
    """
    with torch.random.fork_rng(devices=[]):
        model = registry.build(kind, **params)
        with Counter() as counter:
            raw, _ = model(torch.zeros(2, context, width), return_raw=True)
            raw.sum().backward()
    return float(counter.total) / 2
