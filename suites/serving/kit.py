"""Small models as checkpoints, a server in a thread of this process, and plain clients."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoints.checkpoint import Description, architecture, publish, snapshot
from models.checkpoints.language_model import LanguageModel
from models.checkpoints.predictor import Predictor
from models.data.text.tokenizer import ByteTokenizer
from models.registry import build
from suites.models.cognate_small import SMALL

WIDTH, CONTEXT = 16, 3


def extras() -> None:
    """Skips, with one line, where the extra is not installed."""
    for package in ("starlette", "uvicorn", "prometheus_client"):
        pytest.importorskip(package, reason='the extra "serve" is not installed')


def vector_run(folder: Path, kind: str = "amn", **params: Any) -> Path:
    """A run directory with one checkpoint of an untrained vector model."""
    params = {"input_dim": WIDTH, "d_model": 8, "hidden_dim": 16, **params}
    torch.manual_seed(0)
    return _run(folder, kind, params, torch.randn(2, CONTEXT, WIDTH), None)


def language_run(folder: Path, tokenizer: bytes | None = None, **params: Any) -> Path:
    """A run directory with one checkpoint of an untrained Cognate whose tokens are bytes."""
    params = {**SMALL, "vocab_size": ByteTokenizer.vocab_size, "specialisation": "speed", **params}
    torch.manual_seed(0)
    content = ByteTokenizer().content() if tokenizer is None else tokenizer
    return _run(folder, "cognate", params, torch.randint(256, (2, 5)), content or None)


def _run(folder: Path, kind: str, params: dict[str, Any], probe: torch.Tensor, tokenizer: bytes | None) -> Path:
    model = build(kind, **params)
    about = Description(
        name="best", kind=kind, params=params, architecture=architecture(model), epoch=1, step=1, config={}, data=""
    )
    publish(folder / "checkpoints", snapshot(model, probe, about, tokenizer=tokenizer))
    return folder


@dataclass
class Served:
    """A server in this process: its port, and its application."""

    port: int
    app: Any

    def ask(self, path: str, body: bytes | dict[str, Any] | None = None, **headers: str) -> tuple[int, Any]:
        """Status and body of one request, as JSON where it is; without a body a GET."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = json.dumps(body).encode() if isinstance(body, dict) else body
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            client.request("GET" if data is None else "POST", path, data, named)
            answer = client.getresponse()
            content = answer.read()
            kind = answer.headers.get("content-type", "")
            return answer.status, json.loads(content) if kind == "application/json" else content
        finally:
            client.close()

    def connect(self) -> socket.socket:
        """A connection for what no orderly client sends."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def metric(self, name: str, **labels: str) -> float:
        """A figure of /metrics, 0 where it is not there yet."""
        from prometheus_client.parser import text_string_to_metric_families

        text = self.ask("/metrics")[1].decode()
        samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


@contextmanager
def serving(model: Predictor | LanguageModel, **limits: Any) -> Iterator[Served]:
    """Serves the model in a thread until the block ends."""
    import uvicorn

    from models.serving.app import make_app
    from models.serving.limits import Limits
    from models.serving.server import bound, configured

    app = make_app(model, bounds := Limits(**limits))
    with bound("127.0.0.1", 0) as listening:
        server = uvicorn.Server(configured(app, bounds))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield Served(listening.getsockname()[1], app)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def eventually(true: Any, seconds: float = 10.0) -> bool:
    """Whether it becomes true in time."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def received(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    parts = []
    while part := _part(connection):
        parts.append(part)
    return b"".join(parts)


def _part(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""
