"""How torch computes in a command."""

from __future__ import annotations

import torch


def threads(number: int) -> None:
    """So many threads on the CPU."""
    torch.set_num_threads(number)
