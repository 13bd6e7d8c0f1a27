"""What the tests of ``ranks`` call on two ranks."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def summed(value: float, *, twice: bool = False) -> dict[str, Any]:
    """The sum over ranks of the value plus the rank, as number and as tensor."""
    found = torch.full((3,), value + dist.get_rank())
    dist.all_reduce(found)
    print(f"sum {found[0]:g}")
    return {"sum": float(found[0]) * (1 + twice), "tensor": found, "rank": dist.get_rank()}


def asked(*names: str) -> list[str | None]:
    return [os.environ.get(name) for name in names]


def joins_by_itself() -> int:
    """As a script under torchrun does."""
    dist.init_process_group("gloo")
    found = torch.ones(())
    dist.all_reduce(found)
    return int(found)


def raises() -> None:
    """Rank 1 raises while rank 0 waits for it."""
    if dist.get_rank() == 1:
        raise ValueError("no row")
    dist.barrier()


def asserts() -> None:
    assert dist.get_rank() == 0


def dies() -> None:
    """Rank 1 is killed while rank 0 waits for it."""
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()


def leaves() -> None:
    if dist.get_rank() == 0:
        os._exit(3)


def hangs() -> None:
    """Rank 1 leaves out a collective that rank 0 waits in."""
    found = torch.ones(4)
    dist.all_reduce(found)
    if dist.get_rank() == 0:
        dist.broadcast(found, 0)
        dist.all_reduce(found)
    else:
        time.sleep(60)


def returns_what_cannot_travel() -> Any:
    return (number for number in range(3))


def starts_a_process_and_hangs(path: str) -> None:
    """Leaves a child behind, unless it is killed with its rank."""
    import subprocess

    child = subprocess.Popen(["sleep", "60"])
    with open(f"{path}/{dist.get_rank()}", "w") as file:  # noqa: PTH123
        file.write(str(child.pid))
    time.sleep(60)


def stack_of(rows: Tensor) -> Tensor:
    """The rows of all ranks."""
    found = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(found, rows)
    return torch.stack(found)
