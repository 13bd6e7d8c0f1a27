"""When the loop takes measurements that cost a backward pass."""

from __future__ import annotations


def due(step: int, every: int, active: int) -> bool:
    """Whether 1-based ``step`` is probed: the first and every ``every``-th, when two or more terms are active."""
    return every > 0 and active > 1 and (step == 1 or step % every == 0)
