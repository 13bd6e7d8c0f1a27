"""Locks that a process holds until it lets go or ends, however it ends."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


def try_lock(path: Path | str) -> FileLock | None:
    """The lock, held; None while another process (or job) holds it."""
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def is_free(path: Path | str) -> bool:
    """Whether nobody holds the lock just now."""
    lock = try_lock(path)
    if lock is not None:
        lock.release()
    return lock is not None


def run_lock(folder: Path) -> str:
    """Held by the process that decides what happens to a run directory: beside it, because it may be moved aside."""
    return f"{folder}.lock"


def trainer_lock(folder: Path) -> str:
    """Held by the trainer that writes a run directory: nobody continues a run that is still being written."""
    return f"{folder}.trainer.lock"
