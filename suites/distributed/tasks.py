"""An engine without a package: every task is a process of this machine, lost when somebody kills it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from lvmcheck.launch.engines._far import FarEngine
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.run.regular_file import read_json

RUN = "import json, sys; from lvmcheck.launch.engines._task import train; train(json.loads(sys.stdin.read()))"


class Processes(FarEngine):
    """Queues nothing: a task begins at once, unless ``held``."""

    NAME = "processes"
    held = False
    late = 0.2

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.tasks: list[subprocess.Popen[str]] = []

    def open(self) -> None:
        """Nothing to be made ready."""

    def submit(self, spec: dict[str, Any], plan: Plan) -> Any:
        if self.held:
            return None
        command = [sys.executable, "-c", RUN]
        task = subprocess.Popen(
            command, stdin=subprocess.PIPE, cwd=plan.settings.root, text=True, start_new_session=True
        )
        self.tasks.append(task)
        assert task.stdin is not None
        with task.stdin as sent:
            sent.write(json.dumps(spec))
        return task

    def place(self, handle: Any) -> str:
        return str(getattr(handle, "pid", "nowhere"))

    def gone(self, handle: Any) -> str | None:
        code = None if handle is None else handle.poll()
        return None if code is None else f"exit code {code}"

    def cancel(self, handle: Any) -> None:
        if handle is not None:
            handle.kill()
            handle.wait()

    def close(self) -> None:
        super().close()
        for task in self.tasks:
            task.wait(timeout=30)


def worker_of(folder: Path) -> int | None:
    """The process that holds the task; None before it has begun."""
    pid = (read_json(folder / "begun.json") or {}).get("pid")
    return pid if isinstance(pid, int) else None


def kill_node(folder: Path) -> None:
    """The task, its guard and its trainer at once, as when the power fails."""
    pid = worker_of(folder)
    assert pid is not None
    for victim in (pid, *_naming(folder)):
        os.kill(victim, signal.SIGKILL)


def _naming(folder: Path) -> list[int]:
    """Processes with the folder on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(folder) in words:
            found.append(int(entry.parent.name))
    return found
