"""The server process: a socket, uvicorn around the application, and an orderly end."""

from __future__ import annotations

import asyncio
import signal
import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from lvmcheck.errors import InputError
from lvmcheck.text.say import say
from models.checkpoints.language_model import LanguageModel
from models.checkpoints.predictor import Predictor
from models.serving.app import make_app
from models.serving.limits import Limits

HEADERS = 16 << 10  # bytes
IDLE = 15  # seconds a connection may wait for its next request


class Protocol(H11Protocol):
    """Ends a connection on which no request has begun after :data:`IDLE` seconds, too."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(IDLE, self._nothing_came)

    def _nothing_came(self) -> None:
        if getattr(self, "cycle", None) is None and not self.transport.is_closing():
            self.transport.close()


def bound(host: str, port: int) -> socket.socket:
    """A socket at that address, before a model is loaded for it.

    Raises:
        InputError: the port is in use, or may not be used.
    """
    found: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(1024)
    except OSError as error:
        if found is not None:
            found.close()
        fix = "Choose another with --port; 0 takes any that is free."
        raise InputError(f"{host}:{port}", f"cannot be listened on: {error.strerror}", key="--port", fix=fix) from None
    return found


def serve(model: Predictor | LanguageModel, listening: socket.socket, limits: Limits) -> None:
    """Answers until SIGTERM or SIGINT, and then what has been asked already."""
    server: uvicorn.Server | None = None
    app = make_app(model, limits, stopping=lambda: server is not None and server.should_exit)
    server = uvicorn.Server(configured(app, limits))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ended)  # uvicorn raises the signal again when all is answered
    host, port = listening.getsockname()[:2]
    what = "/predict" if isinstance(model, Predictor) else "/generate"
    say(f"serving {model.source} at http://{host}:{port} (POST {what}, GET /healthz, GET /metrics); Ctrl-C ends")
    server.run(sockets=[listening])
    say("ended")


def configured(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=int(limits.grace),
        h11_max_incomplete_event_size=HEADERS,
    )


def _ended(number: int, frame: FrameType | None) -> None:
    """Everything has been done by uvicorn's own handler."""
