"""The process from which ranks are forked: it has imported torch once, so that a pair of ranks starts in a moment.

``python -m lvmcheck.launch.ranks.server``, with one JSON object a line on stdin (what to start, or ``{"kill": true}``)
and one on stdout for every rank that ends. When stdin closes, because the session has ended or was killed, every rank
is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from typing import Any

from lvmcheck.launch.ranks.member import run_rank

LOOK = 0.02
"""Seconds between two looks at ranks that have ended."""


def main() -> int:
    import torch._dynamo  # so that every rank has what its first optimizer imports
    import torch.distributed

    torch.set_num_threads(1)  # no thread of this process exists when it forks
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ranks: dict[int, int] = {}
    waiting = b""
    while True:
        ready, _, _ = select.select([0], [], [], LOOK if ranks else None)
        if ready:
            block = os.read(0, 1 << 16)
            if not block:
                _kill(ranks)
                return 0
            *lines, waiting = (waiting + block).split(b"\n")
            for line in lines:
                _obey(json.loads(line), ranks)
        _reap(ranks)


def _obey(request: dict[str, Any], ranks: dict[int, int]) -> None:
    if request.get("kill"):
        _kill(ranks)
        return
    for rank in range(int(request["size"])):
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                run_rank(request, rank)
            finally:
                os._exit(0)
        ranks[pid] = rank


def _kill(ranks: dict[int, int]) -> None:
    for pid in ranks:
        for kill in (os.killpg, os.kill):  # its group, and itself where it has not come to make one
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)


def _reap(ranks: dict[int, int]) -> None:
    for pid in list(ranks):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)  # with whatever it started
            said = {"rank": ranks.pop(pid), "code": os.waitstatus_to_exitcode(status)}
            os.write(1, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
