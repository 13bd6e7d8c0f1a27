"""The worker's side: what a task of a cluster runs. It starts the trainer as a session on that machine would."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import FrameType
from typing import Any

from lvmcheck.launch.engines import _files as files
from lvmcheck.launch.engines._stored import received
from lvmcheck.launch.process import TrainerProcess
from lvmcheck.launch.same_code import AFAR
from lvmcheck.run import directory as rundir
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.utc import utc

OWN = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "SLURM_*", "HOSTNAME", "TMPDIR")
"""Variables that the machine knows better than the session: what the scheduler has given, and where things are."""
LOOK, AGAIN = 0.1, 5.0
"""Seconds between two looks, and between two requests to end where the place is taken."""
TAKEN_BY = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
"""What schedulers send to a task whose place they take, or whose time is over."""


def train(spec: Mapping[str, Any]) -> None:
    """Train one run in its directory until its trainer ends, is asked to end, or the worker is taken away.

    Args:
        spec: what :class:`lvmcheck.launch.engines._far.FarTask` says.
    """
    if spec["store"]:
        with received(spec) as local:
            train(local)
        return
    folder, root = Path(spec["folder"]), Path(spec["root"])
    host = platform.node()
    for path in (folder / rundir.INFO, root):
        if not path.exists():
            raise RuntimeError(f"worker {host} sees no {path}: every worker must see the checkout and --lvm-dir")
    task = str(spec["task"])
    if (read_json(folder / files.TASK) or {}).get("task") != task:
        return  # another task trains this run by now, or the session has given it up
    if (read_json(folder / files.BEGUN) or {}).get("task") == task:
        _leave(folder, task, 1, "was queued again", taken=True)  # the scheduler started it twice: the session decides
        return
    rundir.write_json(folder / files.BEGUN, {"task": task, "host": host, "pid": os.getpid(), "time": utc()})
    resume = folder / spec["resume"] if spec["resume"] else None
    with _signals() as taken:
        process = TrainerProcess(folder, cwd=root, environment=environment(spec, os.environ), resume=resume)
        try:
            _watch(process, folder, task, taken)
        finally:
            process.wait_output()
            how, code = process.ended(), process.exit_code()
            process.stop(grace=8.0 if code is None else 0.5)
            _leave(folder, task, 1 if code is None else code, how, taken=taken.is_set() or code is None)


def environment(spec: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, str]:
    """The trainer's environment on this machine."""
    sent = {name: value for name, value in spec["environment"].items() if not _is_own(name)}
    here = {name: value for name, value in own.items() if _is_own(name) or name in spec["secrets"]}
    return {**sent, **here, AFAR: spec["task"]}


def _is_own(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in OWN)


def _watch(process: TrainerProcess, folder: Path, task: str, taken: threading.Event) -> None:
    """Until the trainer has ended."""
    heard, ask_at = 0, 0.0
    seen, since = 0, time.monotonic()
    while process.exit_code() is None:
        said = read_json(folder / files.TASK)
        if said is not None and said.get("task") != task:
            process.stop(grace=0.0 if said.get("task") else 8.0)  # the run goes on elsewhere, or nobody waits for it
            return
        orders = said.get("orders", []) if said is not None else []
        for order in orders[heard:]:
            _obey(process, order)
        heard = max(heard, len(orders))
        touched = _touched(folder / files.AWAITED)
        if touched != seen:
            seen, since = touched, time.monotonic()
        if time.monotonic() - since > files.ORPHANED:
            taken.set()
        if taken.is_set() and time.monotonic() >= ask_at:  # again and again: one that just starts may not hear it
            ask_at = time.monotonic() + AGAIN
            process.ask()
        time.sleep(LOOK)


def _obey(process: TrainerProcess, order: str) -> None:
    if order == files.STACKS:
        process.dump_stacks()
    elif order == files.AGAIN:
        process.ask_again()
    elif order == files.TERM:
        process.ask()
    elif order == files.KILL:
        process.stop(grace=0.0)


def _touched(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _leave(folder: Path, task: str, code: int, how: str, *, taken: bool) -> None:
    rundir.write_json(folder / files.LEFT, {"task": task, "code": code, "how": how, "taken": taken})


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """Set when the scheduler takes the place away."""
    taken = threading.Event()

    def take(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature signals want
        taken.set()

    if threading.current_thread() is not threading.main_thread():
        yield taken
        return
    before = {number: signal.signal(number, take) for number in TAKEN_BY}
    try:
        yield taken
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
