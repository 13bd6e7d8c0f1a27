"""Run directories of workers that do not see the session's: through a store, in both directions, while they grow."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lvmcheck.launch.engines import _files as files
from lvmcheck.launch.store import Receiver, Sender, open_store, refused
from lvmcheck.run import directory as rundir
from lvmcheck.text.say import complain

CONTROL = (files.TASK, files.AWAITED, rundir.STOP, rundir.JUDGED)
"""What the session writes while a task runs; all else is the task's."""
LOOK = 0.5
SILENT = 60.0
"""Seconds for which a store may refuse everything before it counts as gone."""


class Session:
    """The session's side of one task."""

    def __init__(self, url: str, store: tuple[Any, str], task: str, folder: Path) -> None:
        system, root = store
        self._url, self._system, self._base = url, system, f"{root}/{task}"
        self._down = Sender(system, f"{root}/{task}/down", folder)
        self._up = Receiver(system, f"{root}/{task}/up", folder)
        self._well = time.monotonic()
        self.sent = False

    def end(self) -> None:
        """All has come back: nothing of it is left in the store."""
        with contextlib.suppress(Exception):  # an unneeded copy
            self._system.rm(self._base, recursive=True)

    def look(self) -> None:
        """Send what the task must know, and take what it has written.

        Raises:
            InputError: the store has been silent for too long, or was never there.
        """
        try:
            self._down.send(only=CONTROL if self.sent else (), but=(files.BEGUN, files.LEFT))
            self.sent = True
            self._up.receive()
            self._well = time.monotonic()
        except Exception as problem:  # whatever the file system behind it says
            if not self.sent or time.monotonic() - self._well > SILENT:
                raise refused(self._url, problem) from None


@contextlib.contextmanager
def received(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The worker's side: the spec with a folder of this machine, whose content goes back to the store as it grows."""
    system, root = open_store(str(spec["store"]))
    base = f"{root}/{spec['task']}"
    scratch = Path(tempfile.mkdtemp(prefix="lvmcheck-"))
    folder = scratch / Path(spec["folder"]).name
    folder.mkdir()
    down, up = Receiver(system, f"{base}/down", folder), Sender(system, f"{base}/up", folder)
    down.receive()
    up.know()
    over = threading.Event()

    def exchange() -> None:
        while not over.wait(LOOK):
            with contextlib.suppress(Exception):  # tried again; what is never sent is kept below
                down.receive()
                up.send(but=CONTROL)

    thread = threading.Thread(target=exchange, name="lvmcheck-store", daemon=True)
    thread.start()
    try:
        yield {**spec, "folder": str(folder), "store": None}
    finally:
        over.set()
        thread.join()
        if _sent(up):
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            complain(f"lvmcheck: the store {spec['store']} did not take the end of this run, which is kept in {folder}")


def _sent(up: Sender) -> bool:
    """Whether the store took all, within a while."""
    until = time.monotonic() + SILENT
    while True:
        try:
            up.send(but=CONTROL)
        except Exception:
            if time.monotonic() > until:
                return False
            time.sleep(LOOK)
        else:
            return True
