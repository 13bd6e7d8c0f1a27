"""Texts of many clients generated together: one thread computes the next token of all of them at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lvmcheck.errors import InputError
from models.checkpoints.language_model import GrowingText, LanguageModel
from models.cognate.together import Row, Together
from models.serving.body import UNFIT
from models.serving.limits import Limits, RefusedError
from models.serving.measures import Measures

KEYS: Mapping[str, tuple[type, ...]] = {
    "prompt": (str,),
    "raw": (bool,),
    "stream": (bool,),
    "max_new": (int,),
    "temperature": (int, float),
    "top_p": (int, float),
    "seed": (int,),
}
"""What a request to /generate may hold."""
MAX_NEW = 24


@dataclass(frozen=True)
class Wanted:
    """A checked request: the tokens of its prompt, and how they are continued."""

    tokens: list[int]
    settings: dict[str, Any]
    stream: bool


@dataclass(frozen=True)
class Piece:
    """A part of a text and the tokens so far; ``reason`` on the last one: "end", "length", "time" or "stopped"."""

    text: str
    tokens: int
    reason: str | None = None


@dataclass(eq=False)
class Text:
    """A text that is written: its row of the batch, and where its tokens go; None is the last."""

    row: Row
    tokens: asyncio.Queue[int | None]


class Writer:
    """One language model, one thread that computes, and one batch that texts join and leave."""

    def __init__(self, model: LanguageModel, limits: Limits, measures: Measures) -> None:
        self.model = model
        self._limits, self._measures = limits, measures
        self._pool = ThreadPoolExecutor(1, "generate")
        self._together = Together(model.model, model.tokenizer.end)
        self._texts: dict[int, Text] = {}  # by the identity of its row
        self._joining: list[Row] = []
        self._leaving: list[Row] = []
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Ends; texts that are not whole are cut off."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._cut_off()
        self._pool.shutdown()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._more.wait()
            joining, leaving = self._joining, self._leaving
            self._joining, self._leaving = [], []
            try:
                found = await loop.run_in_executor(self._pool, self._together.step, joining, leaving)
            except Exception:  # no text of this batch can go on, the next one can
                logging.getLogger("uvicorn.error").exception("generation failed")
                self._together = Together(self.model.model, self.model.tokenizer.end)
                self._cut_off()
                found = []
            self._measures.tokens.inc(sum(token is not None for _, token in found))
            for row, token in found:
                text = self._texts.get(id(row))
                if text is not None:
                    if token is not None:
                        text.tokens.put_nowait(token)
                    if row.ended is not None:
                        text.tokens.put_nowait(None)
            if not len(self._together) and not self._joining and not self._leaving:
                self._more.clear()

    def _cut_off(self) -> None:
        for text in self._texts.values():
            text.tokens.put_nowait(None)

    def wanted(self, given: Mapping[str, Any]) -> Wanted:
        """The request, checked.

        Raises:
            RefusedError: a key or value that is none, or a prompt longer than the context.
        """
        for key, value in given.items():
            kinds = KEYS.get(key)
            if kinds is None:
                raise RefusedError(UNFIT, f"no such key {key[:40]!r}; known: {', '.join(KEYS)}")
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise RefusedError(UNFIT, f"{key}: expected {kinds[-1].__name__}, got {type(value).__name__}")
        if "prompt" not in given:
            raise RefusedError(UNFIT, 'expected {"prompt": "..."}')
        settings = {
            "max_new": given.get("max_new", MAX_NEW),
            "temperature": float(given.get("temperature", 0.0)),
            "top_p": float(given.get("top_p", 1.0)),
            "seed": given.get("seed", 0),
        }
        if settings["max_new"] > self._limits.new_tokens:
            raise RefusedError(UNFIT, f"max_new: expected at most {self._limits.new_tokens}, got {settings['max_new']}")
        try:
            tokens = self.model.tokens(given["prompt"], raw=given.get("raw", False))
            self.model.stream(tokens, **settings).close()
        except InputError as problem:
            raise RefusedError(UNFIT, str(problem)) from None
        return Wanted(tokens, settings, given.get("stream", True))

    async def pieces(self, wanted: Wanted) -> AsyncGenerator[Piece, None]:
        """The text as it comes; whoever closes it ends the work.

        Raises:
            RefusedError: too many are written already.
        """
        if len(self._texts) >= self._limits.texts:
            raise RefusedError(503, f"{len(self._texts)} texts are generated already; try again in a second")
        row = self._together.row(wanted.tokens, **wanted.settings)
        text, grown = Text(row, asyncio.Queue()), GrowingText(self.model.tokenizer)
        self._texts[id(row)] = text
        self._joining.append(row)
        self._more.set()
        loop = asyncio.get_running_loop()
        until, reason = loop.time() + self._limits.work, "time"
        try:
            while (left := until - loop.time()) > 0:
                try:
                    token = await asyncio.wait_for(text.tokens.get(), left)
                except TimeoutError:
                    break
                if token is None:
                    reason = row.ended or "stopped"
                    break
                if piece := grown.more(token):
                    yield Piece(piece, len(grown.tokens))
        finally:
            del self._texts[id(row)]
            if row.ended is None:
                self._leaving.append(row)
                self._more.set()
        yield Piece(grown.rest(), len(grown.tokens), reason)
