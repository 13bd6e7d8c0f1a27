"""Loops as users write them, that the tests of this folder run on two ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import lvmcheck
from lvmcheck.run.ranks import rank, world


def rows(seed: int, count: int = 64) -> tuple[Tensor, Tensor]:
    values = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    return values, values[:, :3].argmax(1)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def trained(path: str, steps: int, *, asked_by: int | None = None, asked_at: int = 0, **more: Any) -> dict[str, Any]:
    """A loop that looks at ``rec.stop`` after every step; one rank asks to stop, as a signal does.

    A checkpoint beside the run lets a requeued job go on.
    """
    checkpoint = Path(path).with_suffix(".pt")
    model = network()
    wrapped = DistributedDataParallel(model) if dist.is_initialized() else model
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    first = 0
    if more.get("resume") and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        first = saved["step"]
        more["start_step"] = first
    losses: list[float] = []
    with lvmcheck.record(path, **more) as rec:
        began = rec.steps
        for step in range(first, steps):
            values, labels = rows(step)
            mine = slice(rank(), None, world())
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(wrapped(values[mine]), labels[mine])
            loss.backward()
            optimizer.step()
            found = rec.reduce(loss=(loss.item() * len(values[mine]), len(values[mine])))
            losses.append(found["loss"] or 0.0)
            rec.step(loss=losses[-1], samples=len(values))
            if rank() == 0 and more.get("resume"):
                torch.save({"model": model.state_dict(), "step": rec.steps}, checkpoint)
            if rank() == asked_by and step == asked_at:
                rec.ask_to_stop("the test")
            if rec.stop:
                break
    return {"steps": rec.steps, "began": began, "losses": losses, "reason": rec.stop_reason}


def epochs(path: str, count: int, asked_at: int) -> dict[str, Any]:
    """A loop that looks at ``rec.stop`` at the end of epochs alone; a check stops it in the judge of rank 0."""
    seen = []
    with lvmcheck.record(path) as rec:
        rec.data(name="rows", fingerprint="0" * 64)
        for epoch in range(count):
            for _ in range(3):
                found = torch.ones(())
                dist.all_reduce(found)
                rec.step(loss=1.0 / (1 + rec.steps))
            if rank() == 0 and epoch == asked_at:
                rec.ask_to_stop("the judge")
            rec.epoch(epoch, val_loss=1.0)
            seen.append(rec.stop)
            if seen[-1]:
                break
    return {"seen": seen, "steps": rec.steps, "epochs": rec.epochs}


def free(path: str, steps: int) -> int:
    """Ranks that wait for each other every eighth step alone, as in local SGD; rank 1 is quicker."""
    import time

    with lvmcheck.record(path) as rec:
        for step in range(1, steps + 1):
            time.sleep(0.004 if rank() else 0.01)
            rec.step(loss=1.0)
            if rank() == 0 and step == 11:
                rec.ask_to_stop("the test")
            if rec.stop:
                break
            if step % 8 == 0:
                dist.barrier()
    return rec.steps


def reduced(parts: list[dict[str, tuple[float, float]]]) -> Any:
    """What ``rec.reduce`` answers where each rank has a part of its own."""
    from lvmcheck.run.reduce import reduced as reduce

    try:
        return reduce(parts[rank()])
    except lvmcheck.InputError as problem:
        return problem.to_json()


def several(jobs: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
    """Several of these functions, one after the other, in one pair of ranks."""
    return [globals()[name](*arguments, **keywords) for name, arguments, keywords in jobs]
