"""The session's side of a task of a cluster: queued, and watched through the run directory."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import repeat
from pathlib import Path
from typing import Any, ClassVar

from lvmcheck.errors import InputError
from lvmcheck.launch.engines import _files as files
from lvmcheck.launch.engines._stored import Session
from lvmcheck.launch.environment import SECRET
from lvmcheck.launch.place import Place, first_free
from lvmcheck.launch.plan import Plan, Settings
from lvmcheck.launch.process import environment_of
from lvmcheck.launch.same_code import asked_of
from lvmcheck.launch.store import open_store
from lvmcheck.run import directory as rundir
from lvmcheck.run.regular_file import read_json

MANY = 1000
"""Tasks at a time unless ``--lvm-jobs`` says otherwise: the cluster has a queue of its own."""
INSIST = 10.0
LOOK = 0.25
"""Seconds between two looks into a store."""


class FarEngine(ABC):
    """What engines of clusters share: they queue :func:`~lvmcheck.launch.engines._task.train`.

    Attributes:
        late: seconds that a shared disk may take to show what a task wrote last.
        options: what ``--lvm-launcher-option`` gave.
    """

    NAME: ClassVar[str]
    late = 2.0

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.options = dict(settings.launcher_options)
        self._awaited: set[Path] = set()
        self._store: tuple[Any, str] | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def open(self) -> None:
        """Be ready to queue tasks."""

    @abstractmethod
    def submit(self, spec: dict[str, Any], plan: Plan) -> Any:
        """Queue a task; what names it from now on.

        Raises:
            InputError: the cluster cannot or will not.
        """

    @abstractmethod
    def place(self, handle: Any) -> str:
        """The task's name in the cluster."""

    @abstractmethod
    def gone(self, handle: Any) -> str | None:
        """Why no such task waits or runs; None where one does."""

    @abstractmethod
    def cancel(self, handle: Any) -> None:
        """Take it out of the queue, or end it without asking."""

    def take(self, plan: Plan, folder: Path, wanted: int) -> Place | None:  # noqa: ARG002 - the cluster knows them
        names = [f"{self.NAME}-{number}" for number in range(self.settings.jobs or MANY)]
        return first_free(folder, names, repeat({}))

    def start(self, plan: Plan, resume: Path | None, environment: Mapping[str, str]) -> FarTask:  # noqa: ARG002
        self.open()
        if self.settings.store and self._store is None:
            self._store = open_store(self.settings.store)
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="lvmcheck-awaits", daemon=True)
            self._thread.start()
        self._awaited.add(plan.folder)
        return FarTask(self, plan, resume, self._store)

    def close(self) -> None:
        self._closed.set()

    def _beat(self) -> None:
        """Tell the tasks that their session lives, however long it judges."""
        while not self._closed.wait(files.BEAT):
            for folder in list(self._awaited):
                touch(folder)


class FarTask:
    """A trainer on a worker of a cluster."""

    def __init__(self, engine: FarEngine, plan: Plan, resume: Path | None, store: tuple[Any, str] | None) -> None:
        self._engine, self.folder = engine, plan.folder
        self._id, self._orders = uuid.uuid4().hex, list[str]()
        self._place = ""
        self._asked = asked_of(plan.key, plan.cache)
        self._left: dict[str, Any] | None = None
        self._gone: str | None = None
        self._gone_since: float | None = None
        self._given_up = self._cut_off = False
        for name in (files.BEGUN, files.LEFT):
            (self.folder / name).unlink(missing_ok=True)
        touch(self.folder)
        self._say(self._id)
        sent = environment_of(plan)
        secret = [name for name in sent if any(fnmatchcase(name, pattern) for pattern in SECRET)]
        spec = {
            "task": self._id,
            "folder": str(plan.folder.resolve()),
            "root": str(plan.settings.root.resolve()),
            "resume": None if resume is None else str(resume.relative_to(plan.folder)),
            "environment": {name: value for name, value in sent.items() if name not in secret},
            "store": plan.settings.store,
            "secrets": secret,  # their values are the worker's own: a queue keeps on disk what it is given
        }
        self._looked = time.monotonic()
        self._session = Session(plan.settings.store, store, self._id, self.folder) if store is not None else None
        if self._session is not None:
            self._session.look()
        self._handle = engine.submit(spec, plan)
        self._place = engine.place(self._handle)
        self._say(self._id)

    @property
    def began(self) -> bool:
        return (read_json(self.folder / files.BEGUN) or {}).get("task") == self._id

    @property
    def lost(self) -> bool:
        if self._given_up:
            return False
        return self._gone is not None if self._left is None else bool(self._left["taken"])

    def exit_code(self) -> int | None:
        if self._session is not None and self._left is None and time.monotonic() - self._looked > LOOK:
            try:
                self._session.look()
            except InputError:
                self._cut_off = True
                raise
            self._looked = time.monotonic()
        if self._left is None:
            left = read_json(self.folder / files.LEFT) or {}
            self._left = left if left.get("task") == self._id else None
            if self._left is not None:
                self._ended()
        if self._left is not None:
            return int(self._left["code"])
        if self._gone is None and (why := self._engine.gone(self._handle)) is not None:
            self._gone_since = self._gone_since or time.monotonic()
            if time.monotonic() - self._gone_since > self._engine.late:
                self._gone = why
                self._ended()
        return None if self._gone is None else 1

    def _ended(self) -> None:
        """From now on nobody of this task may train; one who does holds the trainer's lock, and is waited for."""
        self._say(None)
        if self._session is not None and self._left is not None:
            self._session.end()

    def ended(self) -> str:
        if self._left is None:
            return f"was lost with its worker ({self._engine.NAME} {self._place}: {self._gone})"
        return str(self._left["how"])

    def dump_stacks(self) -> None:
        self._order(files.STACKS)

    def ask_again(self) -> None:
        self._order(files.AGAIN)

    def stop(self, *, grace: float = 8.0) -> None:
        if self._cut_off or self.exit_code() is not None:
            return  # one that cannot be reached hears nothing of its session, and ends
        self._given_up = True
        if self.began:
            self._order(files.TERM)
            if self._ends_within(grace):
                return
            self._order(files.KILL)
            if self._ends_within(INSIST):
                return
        self._say(None)  # should it begin all the same, it leaves
        self._engine.cancel(self._handle)
        self._ends_within(self._engine.late + 1.0)

    def wait_output(self) -> None:
        """The task has written it before it left."""

    def _ends_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self.exit_code() is None:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def _order(self, what: str) -> None:
        self._orders.append(what)
        self._say(self._id)

    def _say(self, task: str | None) -> None:
        body: dict[str, Any] = {"task": task, "engine": self._engine.NAME, "place": self._place, "orders": self._orders}
        body["asked"] = self._asked
        rundir.write_json(self.folder / files.TASK, body)


def touch(folder: Path) -> None:
    """The session of this run lives."""
    with contextlib.suppress(OSError):
        (folder / files.AWAITED).write_text(str(time.time_ns()))
