"""How much of each data set: no set above a share, without repeating or inventing a record."""

from __future__ import annotations

from collections.abc import Mapping


def quotas(counts: Mapping[str, int], max_share: float) -> dict[str, int]:
    """Records to keep of every set so that none exceeds ``max_share`` of all that is kept.

    Large sets are cut to one common cap, the largest that works. Where the share cannot be had at all (fewer than
    1 / max_share sets) every set is cut to the smallest, which is as even as it gets.

    Args:
        counts: records of every set, each at least 1.
    """
    if len(counts) * max_share <= 1:
        least = min(counts.values(), default=0)
        return dict.fromkeys(counts, least)
    low, high = min(counts.values()), max(counts.values())
    while low < high:  # the largest cap whose share is allowed; shares grow with the cap
        middle = (low + high + 1) // 2
        if middle <= max_share * sum(min(count, middle) for count in counts.values()):
            low = middle
        else:
            high = middle - 1
    return {name: min(count, low) for name, count in counts.items()}


def largest_share(counts: Mapping[str, int]) -> float:
    """Share of the largest set; NaN without records."""
    total = sum(counts.values())
    return max(counts.values()) / total if total else float("nan")
