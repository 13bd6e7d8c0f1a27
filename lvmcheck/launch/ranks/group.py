"""Starts ranks, hands back what each returned, and ends all of them when one fails or hangs."""

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
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.launch.device import cores
from lvmcheck.launch.ranks.call import Call


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
            call = Call(size, timeout, Path(folder), self._ended, process)
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
