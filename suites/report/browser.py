"""A headless Chromium for screenshots and tests, spoken to over a pipe: no driver, no package, no open port.

``--remote-debugging-pipe`` takes the DevTools protocol as JSON messages that end with a zero byte, on file descriptors
3 and 4 of the browser. Any Chrome or Chromium that is installed will do; ``LVMCHECK_BROWSER`` names another.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lvmcheck.errors import InputError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APPLE = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
INSTALL = "make browser"
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--mute-audio",
    "--force-color-profile=srgb",
)
SHUFFLE = """
import os, sys
reads, writes = (os.dup(int(it)) for it in sys.argv[1:3])
writes = os.dup(writes) if writes == 3 else writes
os.dup2(reads, 3)
os.dup2(writes, 4)
os.set_inheritable(3, True)
os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Gives the two descriptors their numbers in the child; ``preexec_fn`` would not be safe beside threads."""
PATIENCE = 60.0
"""Seconds that any answer may take; a busy machine starts a browser slowly."""


def find_browser() -> str | None:
    """Path of an installed Chrome or Chromium, or None."""
    named = os.environ.get("LVMCHECK_BROWSER")
    if named:
        return shutil.which(named)
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or (str(APPLE) if APPLE.exists() else None)


class Browser:
    """One browser with one page; use it in a ``with`` statement.

    Attributes:
        said: errors and warnings of the page's console, and scripts that failed, in order.

    Raises:
        InputError: no browser is installed, it does not start, or it does not answer in time.
    """

    def __init__(self) -> None:
        path = find_browser()
        if path is None:
            raise InputError("browser", "expected Chrome or Chromium, got none", fix=f"Install one: {INSTALL}")
        self.said: list[str] = []
        self._number = 0
        self._session: str | None = None
        self._buffer = b""
        self._profile = tempfile.TemporaryDirectory(prefix="lvmcheck-browser-", ignore_cleanup_errors=True)
        # A sandbox needs a user of its own; root has none, and what is opened here was written by lvmcheck.
        root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        self._process, self._to, self._from = _start([path, *FLAGS, *root, f"--user-data-dir={self._profile.name}"])
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    # -- the protocol ------------------------------------------------------------------------------------------------
    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        body = memoryview(json.dumps(message).encode() + b"\0")
        try:
            while body:
                body = body[os.write(self._to, body) :]
        except BrokenPipeError:
            raise InputError("browser", f"it ended before {method}") from None
        limit = time.monotonic() + PATIENCE
        while True:
            answer = self._next(limit, method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise InputError("browser", f"{method}: {answer['error'].get('message')}")
                result = answer["result"]
                assert isinstance(result, dict)
                return result

    def _next(self, limit: float, what: str) -> dict[str, Any]:
        """The next message; what the page said is kept."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, limit - time.monotonic()))
            block = os.read(self._from, 1 << 16) if ready else b""
            if not block:
                raise InputError("browser", f"no answer to {what} within {PATIENCE:.0f} s")
            self._buffer += block
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._listen(message.get("method", ""), message.get("params", {}))
        return message

    def _listen(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.said.append(str(details.get("exception", {}).get("description", details.get("text"))))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.said.append(str(params["entry"]["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.said.append(" ".join(str(it.get("value", it.get("description"))) for it in params["args"]))

    # -- what a person does ------------------------------------------------------------------------------------------
    def size(self, width: int, height: int, *, phone: bool = False, scale: float = 1) -> None:
        """The size of the window in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )

    def colours(self, scheme: str) -> None:
        """``light`` or ``dark``, as the system of the person prefers."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def open(self, path: Path, *, drawn: bool = True) -> None:
        """Load a file and wait until a report in it has ``drawn`` its figures, or else until it is loaded."""
        answer = self.call("Page.navigate", url=path.resolve().as_uri())
        if answer.get("errorText"):
            raise InputError(path, f"cannot be opened: {answer['errorText']}")
        limit = time.monotonic() + PATIENCE
        # A navigation that began need not have replaced the old document yet.
        ready = f"location.href.startsWith({json.dumps(path.resolve().as_uri())}) && document.readyState === 'complete'"
        if drawn:
            ready += " && (!document.getElementById('drawn') || 'drawn' in document.documentElement.dataset)"
        while not self.run(ready):
            if time.monotonic() > limit:
                raise InputError(path, f"was not drawn within {PATIENCE:.0f} s; the page said {self.said}")
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise InputError("browser", str(details.get("exception", {}).get("description", details.get("text"))))
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """A key, such as ``ArrowRight`` or ``Tab``, pressed and released."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}.get(key, 0)
        text = {"Enter": "\r", " ": " "}.get(key, "")
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text, windowsVirtualKeyCode=code)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """The window, or the whole page, as a PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _start(command: list[str]) -> tuple[subprocess.Popen[bytes], int, int]:
    """The browser, the descriptor to write to and the one to read from; it finds its own ends as 3 and 4."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", SHUFFLE, str(to_read), str(from_write), *command],
            pass_fds=(to_read, from_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as problem:
        raise InputError("browser", f"cannot be started: {os.strerror(problem.errno or 0)}") from None
    finally:
        os.close(to_read)
        os.close(from_write)
    return process, to_write, from_read
