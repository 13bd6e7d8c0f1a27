"""Many clients at once against a running server: latency and throughput, measured from outside."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray

from lvmcheck.errors import InputError
from models.serving.body import NPY, npy_bytes

PATIENCE = 60.0  # seconds for one answer
PERCENTILES = (50, 90, 99)


@dataclass
class Load:
    """What clients saw.

    Attributes:
        seconds: of each request that was answered with 200. bad: other answers by status, 0 where none came.
        first: seconds until the first bytes of the body. items: rows or tokens that came.
        cpu: seconds of CPU time that the server took; NaN where its system does not say. together: contexts that it
            computed in one batch, on average; None of texts.
    """

    clients: int
    what: str
    elapsed: float = 0.0
    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    bad: dict[int, int] = field(default_factory=dict)
    items: int = 0
    cpu: float = math.nan
    together: float | None = None

    def lines(self) -> Iterator[str]:
        """The figures."""
        refused = ", ".join(f"{count} answered {status or 'nothing'}" for status, count in sorted(self.bad.items()))
        yield f"{self.clients} clients, {self.elapsed:.1f} s, {len(self.seconds):,} requests" + (
            f"; {refused}" if refused else ", none refused"
        )
        if not self.seconds:
            return
        for name, values in (("latency", self.seconds), ("first bytes", self.first)):
            found = np.percentile(np.array(values) * 1e3, PERCENTILES)
            shown = "  ".join(f"p{which} {value:.1f} ms" for which, value in zip(PERCENTILES, found, strict=True))
            yield f"{name}  {shown}"
        rate, items = len(self.seconds) / self.elapsed, self.items / self.elapsed
        yield f"throughput  {rate:,.0f} requests/s, {items:,.0f} {self.what}/s"
        yield f"server      {1e3 * self.cpu / len(self.seconds):.2f} ms of CPU time a request" + (
            "" if self.together is None else f", {self.together:.1f} contexts in a batch"
        )


def about(url: str) -> dict[str, object]:
    """What the server at ``url`` serves.

    Raises:
        InputError: nothing answers there.
    """
    try:
        with urlopen(f"{url}/healthz", timeout=PATIENCE) as answer:
            return dict(json.load(answer))
    except (OSError, ValueError) as error:
        raise InputError(url, f"expected a server of python -m models serve ({error})") from None


def measure(url: str, *, clients: int, seconds: float, rows: int, prompt: str, max_new: int) -> Load:
    """Each client asks again as soon as it is answered, over one connection, for so many seconds.

    Raises:
        InputError: nothing answers at ``url``.
    """
    server = about(url)
    place = urlsplit(url)
    host, port = place.hostname or "127.0.0.1", place.port or 80
    if server["serves"] == "vectors":
        size = (rows, int(str(server["context"])), int(str(server["width"])))
        body, path, kind, what = npy_bytes(_contexts(size)), "/predict", NPY, "predictions"
    else:
        asked = {"prompt": prompt, "max_new": max_new}
        body, path, kind, what = json.dumps(asked).encode(), "/generate", "application/json", "tokens"
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {kind}\r\naccept: {kind}\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    load, before = Load(clients, what), _metrics(url)
    asyncio.run(_all(load, host, port, request, rows, seconds))
    took = {name: value - before.get(name, 0.0) for name, value in _metrics(url).items()}
    load.cpu = took.get("process_cpu_seconds_total", math.nan)
    if took.get("models_batch_rows_count"):
        load.together = took["models_batch_rows_sum"] / took["models_batch_rows_count"]
    return load


def _metrics(url: str) -> dict[str, float]:
    """The figures of the server without labels, as they are now."""
    with urlopen(f"{url}/metrics", timeout=PATIENCE) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.split() for line in lines if line[:1] != "#" and "{" not in line)
    return {name: float(value) for name, value in pairs}


def _contexts(size: tuple[int, int, int]) -> NDArray[np.float32]:
    found = np.random.default_rng(0).standard_normal(size)
    found /= np.linalg.norm(found, axis=-1, keepdims=True)
    return found.astype(np.float32)


async def _all(load: Load, host: str, port: int, request: bytes, rows: int, seconds: float) -> None:
    began = time.perf_counter()
    until = began + seconds
    await asyncio.gather(*(_client(load, host, port, request, rows, until) for _ in range(load.clients)))
    load.elapsed = time.perf_counter() - began


async def _client(load: Load, host: str, port: int, request: bytes, rows: int, until: float) -> None:
    streams = None
    while time.perf_counter() < until:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                streams = streams or await asyncio.open_connection(host, port)
                streams[1].write(request)
                status, first, body, again = await _answer(streams[0])
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            status, first, body, again = 0, 0.0, b"", False
        if status == 200:
            load.seconds.append(time.perf_counter() - began)
            load.first.append(first - began)
            load.items += rows if load.what == "predictions" else _tokens(body)
        else:
            load.bad[status] = load.bad.get(status, 0) + 1
            await asyncio.sleep(0.05)
        if not again and streams is not None:
            streams[1].close()
            streams = None
    if streams is not None:
        streams[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, float, bytes, bool]:
    """Status, when the body began, body, and whether the connection stays."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    if "content-length" in fields:
        body = await reader.readexactly(int(fields["content-length"]))
        first = time.perf_counter()
    else:
        parts, first = [], 0.0
        while size := int((await reader.readline()).strip() or b"0", 16):
            parts.append((await reader.readexactly(size + 2))[:-2])
            first = first or time.perf_counter()
        await reader.readline()
        body = b"".join(parts)
    return status, first, body, fields.get("connection") != "close"


def _tokens(body: bytes) -> int:
    """What the last event of a stream says."""
    last = body.strip().rpartition(b"data: ")[2]
    return int(json.loads(last)["tokens"])
