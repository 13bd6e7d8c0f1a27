"""Several ranks of one trainer, by torchrun.

``python -m lvmcheck.launch.elastic RUN_DIRECTORY PARENT_PID [CHECKPOINT]``, as :mod:`lvmcheck.launch.worker`, of which
each rank is one; how many there are stands in the environment (:data:`RANKS`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from lvmcheck.launch.stacks import ALL_STACKS, WHERE

RANKS = "LVMCHECK_RANKS"
WORKER = "lvmcheck.launch.worker"


def main(arguments: list[str]) -> None:
    """Start the ranks, and end with them."""
    for number in (WHERE, ALL_STACKS):
        signal.signal(number, _pass_on)
    torchrun: Any = import_module("torch.distributed.run")
    folder, _, *resume = arguments
    options = ["--standalone", "--nproc-per-node", os.environ[RANKS], "--monitor-interval", "0.1"]
    torchrun.main([*options, "-m", WORKER, folder, "0", *resume])


def _pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature signals want
    """What asks for stacks, to every rank."""
    with contextlib.suppress(OSError, ValueError):
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for pid in map(int, children):
            with contextlib.suppress(OSError):
                os.kill(pid, number)


if __name__ == "__main__":
    main(sys.argv[1:])
