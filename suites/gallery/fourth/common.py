"""What several programs share: real text, and honest bookkeeping."""
from __future__ import annotations

import sysconfig
from pathlib import Path

import torch


def source_text(characters: int, skip: int = 0) -> str:
    """Python source of the standard library, comments and all."""
    out, size = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[skip:]:
        if path.stat().st_size < 4000:
            continue
        piece = path.read_text(errors="ignore")
        piece = "".join(c if 32 <= ord(c) < 127 or c == "\n" else "?" for c in piece)
        out.append(piece)
        size += len(piece)
        if size >= characters:
            break
    return "".join(out)[:characters]


def snapshot(module):
    return [p.detach().clone() for p in module.parameters()]


def moved(before, module) -> float:
    """Share of parameter tensors that changed."""
    now = list(module.parameters())
    return sum(not torch.equal(a, b) for a, b in zip(before, now)) / max(1, len(now))


def r2(prediction, target) -> float:
    prediction, target = prediction.detach().flatten().double(), target.detach().flatten().double()
    value = 1 - ((prediction - target) ** 2).mean() / ((target - target.mean()) ** 2).mean()
    return float(value) if torch.isfinite(value) else -1e9
