"""The parent's side of ranks: starts them, takes what each returns, and ends all of them when one fails or hangs."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import current_process
from multiprocessing.connection import Connection, Listener, wait
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError, excerpt
from lvmcheck.launch.device import cores

START = 120.0
"""Seconds until every rank has come: torch is imported meanwhile."""
REPLY = 2.0
"""Seconds that ranks get to say where they wait."""


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


@dataclass
class RankServer:
    """Starts ranks; one server for a session, started by the first call."""

    _process: subprocess.Popen[bytes] | None = None
    _ended: dict[int, int] = field(default_factory=dict)

    def call(
        self,
        size: int,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        *,
        timeout: float,
        backend: str | None,
        threads: int | None,
        env: Mapping[str, str] | None = None,
    ) -> tuple[list[Any], list[str]]:
        """What each rank returned, and what each printed.

        Raises:
            RanksFailedError: a rank raised, died or hung; none is left.
            InputError: the function cannot be called elsewhere.
        """
        named = _named(function)
        with tempfile.TemporaryDirectory(prefix="ranks") as folder, self._listener(folder) as listener:
            request = {
                **named,
                "size": size,
                "folder": folder,
                "address": str(listener.address),
                "key": bytes(current_process().authkey).hex(),
                "run": secrets.token_hex(8),
                "port": _free_port(),
                "environment": {**os.environ, **(env or {})},
                "cwd": str(Path.cwd()),
                "path": sys.path,
                "threads": threads or max(1, cores() // size),
                "timeout": timeout,
                "backend": backend,
            }
            process = self._started()
            self._ended.clear()
            self._send(process, request)
            call = _Call(size, timeout, Path(folder), self._ended, process)
            try:
                call.meet(listener, arguments, dict(keywords))
                values = call.listen()
            except BaseException:
                self._send(process, {"kill": True})
                raise
            finally:
                call.release()
                self._wait(size)
            return values, [call.printed(rank) for rank in range(size)]

    @contextlib.contextmanager
    def _listener(self, folder: str) -> Any:
        listener = Listener(f"{folder}/socket", family="AF_UNIX", backlog=64, authkey=current_process().authkey)
        with listener:
            yield listener

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-P", "-m", "lvmcheck.launch.ranks.server"]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(p).absolute()) for p in sys.path)}
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
            )
            threading.Thread(target=self._hear, args=(self._process,), name="lvmcheck-ranks", daemon=True).start()
        return self._process

    def _hear(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            self._ended[said["rank"]] = said["code"]

    @staticmethod
    def _send(process: subprocess.Popen[bytes], request: Mapping[str, Any]) -> None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()

    def _wait(self, size: int) -> None:
        """Until every rank has ended."""
        until = time.monotonic() + 10.0
        process = self._process
        while process is not None and process.poll() is None and len(self._ended) < size:
            if time.monotonic() > until:
                self.close()
                return
            time.sleep(0.005)

    def close(self) -> None:
        """End the server, and with it every rank."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


class _Call:
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
                self._said[rank] = (kind, body if kind != "returned" else {})
                if kind == "raised":
                    raise self._failed("raised", rank)
                if kind == "returned":
                    values[rank] = body
        return [values[rank] for rank in range(self._size)]

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


def _free_port() -> int:
    with Listener(("127.0.0.1", 0)) as listener:
        address = listener.address
    assert isinstance(address, tuple)
    return int(address[1])


def _named(function: Callable[..., Any]) -> dict[str, Any]:
    """Where another process finds the function.

    Raises:
        InputError: it has no name at the top of a module.
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = getattr(function, "__module__", "")
    file = getattr(sys.modules.get(module), "__file__", None)
    known: Any = sys.modules.get(module)
    for part in name.split("."):
        known = getattr(known, part, None)
    if not inspect.isfunction(function) or file is None or known is None:
        fix = "Write it with def, outside of the test, and hand it what it needs as arguments."
        raise InputError("ranks", f"expected a function at the top of a module, got {name}", key="function", fix=fix)
    return {"module": module, "file": str(Path(file).resolve()), "function": name}
