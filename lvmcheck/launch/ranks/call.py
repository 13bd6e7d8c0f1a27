"""One call on several ranks, heard by the parent: what each says, which one failed first and how."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, Listener, wait
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError, excerpt

START = 120.0
"""Seconds until every rank has come: torch is imported meanwhile."""
REPLY = 2.0
"""Seconds that ranks get to say where they wait."""
PEERS = 1.0
"""Seconds in which a rank may turn out to have raised because another was gone."""


@dataclass(frozen=True, kw_only=True)
class RankFailure:
    """How the ranks of a call failed.

    Attributes:
        kind: "raised", "died" or "hung". rank: the first that did; of several that hang the one that came least far.
        facts: by rank, what each said: its exception, where it waits, its exit code, or "returned".
        output: by rank, what it printed.
    """

    kind: str
    rank: int
    size: int
    seconds: float
    facts: Mapping[int, Mapping[str, Any]]
    output: Mapping[int, str]


class RanksFailedError(Exception):
    """Raised by a call on ranks; ``failure`` is what is known."""

    def __init__(self, failure: RankFailure) -> None:
        super().__init__(f"rank {failure.rank} {failure.kind}")
        self.failure = failure


class Call:
    """One call on several ranks."""

    def __init__(
        self, size: int, timeout: float, folder: Path, ended: Mapping[int, int], process: subprocess.Popen[bytes]
    ) -> None:
        self._size, self._timeout, self._folder = size, timeout, folder
        self._ended, self._process = ended, process
        self._ranks: dict[Connection[Any, Any], int] = {}
        self._said: dict[int, tuple[str, Any]] = {}
        self._began = time.monotonic()

    def meet(self, listener: Listener, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """Wait for every rank, and hand it its arguments."""
        arrived: list[Connection[Any, Any]] = []
        thread = threading.Thread(target=self._accept, args=(listener, arrived), daemon=True)
        thread.start()
        until = time.monotonic() + START
        while len(arrived) < self._size:
            if self._process.poll() is not None or self._ended:
                raise self._failed("died", min(self._ended, default=0))
            if time.monotonic() > until:
                raise self._failed("hung", min({*range(self._size)} - {*self._ranks.values()}))
            time.sleep(0.005)
        for connection in arrived:
            self._ranks[connection] = connection.recv()
        try:
            for connection in arrived:
                connection.send((arguments, keywords))
        except Exception as problem:  # pickling fails in as many ways as there are objects
            said = f"an argument cannot be sent to another process: {excerpt(str(problem), 200)}"
            raise InputError("ranks", said) from None
        self._began = time.monotonic()

    def _accept(self, listener: Listener, arrived: list[Connection[Any, Any]]) -> None:
        with contextlib.suppress(OSError):  # the listener is closed when the call is over
            while len(arrived) < self._size:
                arrived.append(listener.accept())

    def listen(self) -> list[Any]:
        """What each rank returned; at the first that did not, everything ends."""
        limit = self._began + self._timeout + REPLY
        values: dict[int, Any] = {}
        while len(values) < self._size:
            waits = {rank for rank, (kind, _) in self._said.items() if kind == "waits"}
            open_ = {*range(self._size)} - {*values}
            if time.monotonic() > limit or (open_ and open_ <= waits):
                raise self._failed("hung", self._least(open_))
            for connection in wait(list(self._ranks), timeout=0.1):
                assert isinstance(connection, Connection)
                rank = self._ranks[connection]
                try:
                    kind, body = connection.recv()
                except (EOFError, OSError):
                    del self._ranks[connection]
                    self._death(rank)
                self._hears(rank, kind, body)
                if kind == "raised":
                    self._look_for_a_death(rank, body)
                    raise self._failed("raised", rank)
                if kind == "returned":
                    values[rank] = body
        return [values[rank] for rank in range(self._size)]

    def _hears(self, rank: int, kind: str, body: Any) -> None:
        self._said[rank] = (kind, body if kind != "returned" else {})

    def _look_for_a_death(self, rank: int, body: Mapping[str, Any]) -> None:
        """A collective raises a RuntimeError where a peer died, and that peer's connection may close a moment later."""
        until = time.monotonic() + PEERS
        others = [connection for connection, other in self._ranks.items() if other != rank]
        while "RuntimeError" in body["bases"] and others and time.monotonic() < until:
            for connection in wait(others, timeout=0.05):
                assert isinstance(connection, Connection)
                others.remove(connection)
                try:
                    self._hears(self._ranks[connection], *connection.recv())
                except (EOFError, OSError):
                    self._death(self._ranks.pop(connection))

    def _death(self, rank: int) -> None:
        until = time.monotonic() + REPLY
        while rank not in self._ended and time.monotonic() < until:
            time.sleep(0.005)
        raise self._failed("died", rank)

    def _least(self, open_: set[int]) -> int:
        """The rank that came least far: the one that the others wait for."""

        def reached(rank: int) -> tuple[float, int]:
            body = self._said.get(rank, ("", {}))[1]
            number = body.get("number", body.get("begun", -1) + 0.5 if "begun" in body else -1)
            return float(number), rank

        return min(open_, key=reached)

    def _failed(self, kind: str, rank: int) -> RanksFailedError:
        facts: dict[int, dict[str, Any]] = {}
        for other in range(self._size):
            what, body = self._said.get(other, ("", {}))
            facts[other] = {"what": what, **(body if isinstance(body, dict) else {})}
            if other in self._ended and not what:
                facts[other] |= {"what": "died", "code": self._ended[other]}
        seconds = time.monotonic() - self._began
        output = {other: self.printed(other) for other in range(self._size)}
        return RanksFailedError(
            RankFailure(kind=kind, rank=rank, size=self._size, seconds=seconds, facts=facts, output=output)
        )

    def printed(self, rank: int) -> str:
        """What a rank printed so far, at most its last 20 kB."""
        with contextlib.suppress(OSError):
            return (self._folder / f"{rank}.txt").read_bytes()[-20_000:].decode("utf-8", "replace")
        return ""

    def release(self) -> None:
        """Let every rank end."""
        for connection in self._ranks:
            with contextlib.suppress(OSError):
                connection.send("ended")
            connection.close()
