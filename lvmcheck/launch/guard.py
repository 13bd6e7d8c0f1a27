"""Stands between a session and its trainer: whatever the trainer starts ends with it, and how it ended is measured.

Run as a file with the standard library alone, so that it costs little:
``guard.py RUN_DIRECTORY PARENT_PID [CHECKPOINT]``.
On Linux it adopts every orphan below it (``PR_SET_CHILD_SUBREAPER``), also one that has left its process group.
Its own exit code, or signal, is the trainer's.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Container
from pathlib import Path

ENDED = "ended.json"
V1, V2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
SUBREAPER = 36
FORWARDED = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2}
KILL = signal.SIGHUP
"""Asks the guard to kill everything now."""
LOOK = 0.5
"""Seconds between two looks at whether the session still lives."""
MERCY = 8.0
"""Seconds that a trainer gets to end when its session has gone."""


def main(folder: str, parent: int, resume: list[str]) -> int:
    """Start the trainer, pass signals on, and leave nothing behind."""
    module = "elastic" if os.environ.get("LVMCHECK_RANKS") else "worker"
    command = [sys.executable, "-P", "-m", f"lvmcheck.launch.{module}", folder, "0", *resume]
    signals = {*FORWARDED, KILL, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it was ignored, nothing could be waited for
    if not adopt():
        print("lvmcheck: processes that leave the trainer's group are not ended on this system", flush=True)
    kills = oom_kills()
    trainer = os.fork()
    if trainer == 0:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        os.execv(command[0], command)
    status, peak, killed = _watch(trainer, parent, signals)
    end_children(trainer)
    after = oom_kills()
    body = {"peak_bytes": peak, "killed_by_us": killed}
    if kills is not None and after is not None:
        body["oom_kills"] = after - kills
    with contextlib.suppress(OSError), Path(folder, ENDED).open("w") as file:
        json.dump(body, file)
    return _as(status)


def _watch(trainer: int, parent: int, signals: set[signal.Signals]) -> tuple[int, int, bool]:
    """Wait for the trainer; its wait status, its largest memory in bytes, and whether it was killed from here."""
    killed, ends_at = False, None
    while True:
        got = signal.sigtimedwait(signals, LOOK)
        if got is not None and got.si_signo in FORWARDED:
            _send(trainer, got.si_signo)
        gone = os.getppid() != parent
        if gone and ends_at is None:
            ends_at = time.monotonic() + MERCY
            _send(trainer, signal.SIGTERM)
        if (got is not None and got.si_signo == KILL) or (ends_at is not None and time.monotonic() > ends_at):
            killed = True
            _send(trainer, signal.SIGKILL)
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return 0, 0, killed
            if pid == trainer:
                scale = 1 if sys.platform == "darwin" else 1024
                return status, usage.ru_maxrss * scale, killed
            if pid == 0:
                break


def _send(trainer: int, number: int) -> None:
    """To the trainer's whole group, but what asks for its stacks to it alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if number in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(trainer, number)
        else:
            os.killpg(trainer, number)


def adopt() -> bool:
    """Become the parent of every orphan below."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def end_children(group: int | None = None, but: Container[int] = ()) -> None:
    """Kill a group of processes and every child, until there is none: children of children become ours.

    Args:
        but: children that are left alone.
    """
    end = time.monotonic() + 5.0
    while time.monotonic() < end:
        if group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        left = [pid for pid in children() if pid not in but]
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not left:
            return
        time.sleep(0.005)


def children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except (OSError, ValueError):  # a kernel that does not list them
        return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == os.getpid()]


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def oom_kills() -> int | None:
    """How many processes of this control group the kernel has killed for lack of memory; None where nobody counts."""
    for line in _text("/proc/self/cgroup").splitlines():
        _, names, group = line.split(":", 2)
        if names and "memory" not in names.split(","):
            continue
        root, name = (V1, "memory.oom_control") if names else (V2, "memory.events")
        for place in (f"{root}{group}/{name}", f"{root}/{name}"):
            words = _text(place).split()
            if "oom_kill" in words[:-1]:
                return int(words[words.index("oom_kill") + 1])
    return None


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, ValueError):
        return ""


def _as(status: int) -> int:
    """The trainer's exit code; or end by the same signal."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        time.sleep(1.0)
        return 128 + number
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
