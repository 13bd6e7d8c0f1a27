"""The ASGI application of one trained model: /predict or /generate, /healthz and /metrics."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lvmcheck.errors import InputError
from models.checkpoints.language_model import LanguageModel
from models.checkpoints.predictor import Predictor
from models.serving.batcher import Batcher
from models.serving.body import BAD, NPY, UNFIT, json_object, npy_bytes, read_body, vectors
from models.serving.limits import Limits, RefusedError
from models.serving.measures import Measures
from models.serving.writer import Piece, Writer

PATHS = ("/predict", "/generate", "/healthz", "/metrics")
GONE = 499
"""Status in /metrics of a request whose client left; nobody receives it."""
Handler = Callable[[Request], Awaitable[Response]]


def make_app(
    model: Predictor | LanguageModel, limits: Limits | None = None, stopping: Callable[[], bool] = lambda: False
) -> ASGIApp:
    """The application that serves ``model``.

    Args:
        stopping: whether the server is about to end, for /healthz.
    """
    bounds, measures = limits or Limits(), Measures()
    worker = Batcher(model, bounds, measures) if isinstance(model, Predictor) else Writer(model, bounds, measures)
    about = _about(model)

    async def healthz(request: Request) -> Response:  # noqa: ARG001
        ends = stopping()
        return JSONResponse({"status": "stopping" if ends else "ok", **about}, 503 if ends else 200)

    async def metrics(request: Request) -> Response:  # noqa: ARG001
        return Response(measures.text(), media_type=measures.content_type)

    async def predict(request: Request) -> Response:
        if not isinstance(worker, Batcher):
            raise RefusedError(404, "this is a language model: POST /generate")
        return await _predict(request, worker, bounds)

    async def generate(request: Request) -> Response:
        if not isinstance(worker, Writer):
            raise RefusedError(404, "this is a model of vectors: POST /predict")
        return await _generate(request, worker, bounds)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:  # noqa: ARG001
        worker.start()
        yield
        await worker.stop()

    routes = [
        Route("/predict", _guarded(predict, measures), methods=["POST"]),
        Route("/generate", _guarded(generate, measures), methods=["POST"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _no_such, Exception: _failed})
    return Measured(app, measures)


# -- requests ----------------------------------------------------------------------------------------------------------
async def _predict(request: Request, worker: Batcher, limits: Limits) -> Response:
    given = vectors(request, await read_body(request, limits))
    if given.ndim == 3 and len(given) > limits.rows:
        raise RefusedError(UNFIT, f"expected at most {limits.rows:,} contexts in a request, got {len(given):,}")
    if given.ndim == 3 and not len(given):
        raise RefusedError(UNFIT, "expected at least one context, got none")
    try:
        rows = worker.predictor.checked(given)
    except InputError as problem:
        raise RefusedError(UNFIT, str(problem)) from None
    answer = worker.submit(rows)
    gone = asyncio.ensure_future(_disconnected(request))
    either: set[asyncio.Future[Any]] = {answer, gone}
    try:
        await asyncio.wait(either, timeout=limits.work, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        left = not answer.done()
        if left:
            answer.cancel()  # a batch that has not begun leaves it out
    if left:
        if gone.done() and not gone.cancelled():
            raise ClientDisconnect
        raise RefusedError(504, f"not answered within {limits.work:g} s")
    predicted = answer.result().numpy()
    found = predicted if given.ndim == 3 else predicted[0]
    if NPY in request.headers.get("accept", ""):
        return Response(npy_bytes(found), media_type=NPY)
    return JSONResponse({"prediction": found.tolist()})


async def _disconnected(request: Request) -> None:
    """Returns when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _generate(request: Request, worker: Writer, limits: Limits) -> Response:
    wanted = worker.wanted(json_object(await read_body(request, limits)))
    pieces = worker.pieces(wanted)
    first = await anext(pieces)  # from here on it is written, or refused
    if wanted.stream:
        return StreamingResponse(_events(first, pieces), media_type="text/event-stream")
    texts, last = [first.text], first
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        while last.reason is None:
            if gone.done():
                raise ClientDisconnect
            last = await anext(pieces)
            texts.append(last.text)
    finally:
        gone.cancel()
        await pieces.aclose()
    return JSONResponse({"text": "".join(texts), "tokens": last.tokens, "reason": last.reason})


async def _events(first: Piece, pieces: AsyncGenerator[Piece, None]) -> AsyncIterator[str]:
    """Server-sent events: ``{"text": ...}`` for each piece, and at last ``{"done": true, ...}`` with the whole."""
    texts = [first.text]
    try:
        if first.text:
            yield _event({"text": first.text})
        last = first
        while last.reason is None:
            last = await anext(pieces)
            texts.append(last.text)
            if last.text:
                yield _event({"text": last.text})
        yield _event({"done": True, "text": "".join(texts), "tokens": last.tokens, "reason": last.reason})
    finally:
        await pieces.aclose()


def _event(content: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


# -- what goes wrong ---------------------------------------------------------------------------------------------------
def _guarded(handler: Handler, measures: Measures) -> Handler:
    """``handler``, whose refusals are answers and whose clients may leave."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except RefusedError as refused:
            # Whatever of the body has not been read is not read any more.
            headers = {"connection": "close"} if refused.status in (BAD, 408, 413, 415) else {}
            if refused.status == 503:
                headers["retry-after"] = "1"
            return JSONResponse({"error": refused.problem}, refused.status, headers)
        except ClientDisconnect:
            measures.gone.inc()
            return Response(status_code=GONE)

    return guarded


async def _no_such(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    problem = f"no such path {request.url.path[:60]!r}; there is: {', '.join(PATHS)}"
    if status == 405:
        problem = f"expected {getattr(error, 'headers', None) and error.headers.get('Allow')}, got {request.method}"  # type: ignore[attr-defined]
    return JSONResponse({"error": problem}, status, {"connection": "close"})


async def _failed(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """The traceback goes to the log of the server."""
    return JSONResponse({"error": f"internal error: {type(error).__name__}"}, 500, {"connection": "close"})


class Measured:
    """The application around which every request is counted and timed."""

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self._app, self._measures = app, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in PATHS else "other"
        status = 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._measures.request(path):
            try:
                await self._app(scope, receive, sent)
            finally:
                self._measures.requests.labels(path, str(status)).inc()


def _about(model: Predictor | LanguageModel) -> dict[str, Any]:
    """What /healthz says of the model."""
    if isinstance(model, Predictor):
        shape = {"width": model.width, "context": model.context}
        return {"model": model.kind, "serves": "vectors", **shape, "checkpoint": model.source.name}
    longest, vocabulary = model.model.max_length, model.model.vocab_size
    sizes = {"max_length": longest, "vocabulary": vocabulary}
    return {"model": model.name, "serves": "text", **sizes, "checkpoint": model.source.name}
