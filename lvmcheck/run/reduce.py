"""Means over all ranks: sums and counts are added up, so that no mean of means is taken."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping
from typing import Any

from lvmcheck.run.ranks import world
from lvmcheck.run.values import number, refused


def reduced(parts: Mapping[str, Any]) -> dict[str, float | None]:
    """Name -> sum over count, over all ranks; None where no rank counted anything.

    Raises:
        InputError: not a sum and a count, ranks that give other names, or no process group; names the line of the call.
    """
    names = sorted(parts)
    pairs = [_pair(name, parts[name]) for name in names]
    if world() > 1:
        pairs = _added(names, pairs)
    return {name: total / count if count else None for name, (total, count) in zip(names, pairs, strict=True)}


def _pair(name: str, part: Any) -> tuple[float, float]:
    if not isinstance(part, tuple | list) or len(part) != 2:
        fix = "A mean alone cannot be averaged exactly: hand over what it is the mean of."
        raise refused(name, f"(sum, count), got {str(part)[:40]}", fix)
    total, count = number(part[0], f"sum of {name}"), number(part[1], f"count of {name}")
    if not 0 <= count < float("inf"):
        raise refused(f"count of {name}", f"at least 0, got {count:g}", None)
    return total, count


def _added(names: list[str], pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The pairs, added up over the ranks of the default process group."""
    torch: Any = sys.modules.get("torch")
    distributed = getattr(torch, "distributed", None)
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        fix = "Call torch.distributed.init_process_group before."
        raise refused("reduce", f"a process group of the {world()} ranks, got none", fix)
    backend = str(distributed.get_backend())
    device = torch.device("cuda", torch.cuda.current_device()) if backend == "nccl" else torch.device("cpu")
    digest = float(zlib.crc32("\0".join(names).encode()) % (1 << 20))
    same = torch.tensor([digest, digest * digest], dtype=torch.float64, device=device)
    distributed.all_reduce(same)  # the names first: vectors of other lengths would hang
    if float(same[0]) ** 2 != world() * float(same[1]):
        raise refused("reduce", f"the same names on every rank, got here: {', '.join(names) or 'none'}", None)
    values = torch.tensor([value for pair in pairs for value in pair], dtype=torch.float64, device=device)
    distributed.all_reduce(values)
    numbers = values.tolist()
    return [(numbers[2 * i], numbers[2 * i + 1]) for i in range(len(pairs))]
