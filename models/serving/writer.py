"""Texts of many clients generated in turns: one thread computes a token of each text after the other."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lvmcheck.errors import InputError
from models.checkpoints.language_model import LanguageModel
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
    """A part of a text and the tokens so far; ``reason`` on the last one: "end", "length" or "time"."""

    text: str
    tokens: int
    reason: str | None = None


class Writer:
    """One language model and one thread that computes."""

    def __init__(self, model: LanguageModel, limits: Limits, measures: Measures) -> None:
        self.model = model
        self._limits, self._measures = limits, measures
        self._pool = ThreadPoolExecutor(1, "generate")
        self.writing = 0

    def start(self) -> None:
        """Nothing runs between requests."""

    async def stop(self) -> None:
        """Ends the thread."""
        self._pool.shutdown(cancel_futures=True)

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
        if self.writing >= self._limits.texts:
            raise RefusedError(503, f"{self.writing} texts are generated already; try again in a second")
        loop, until = asyncio.get_running_loop(), time.monotonic() + self._limits.work
        source = self.model.stream(wanted.tokens, **wanted.settings)
        tokens = 0
        self.writing += 1
        try:
            while (found := await loop.run_in_executor(self._pool, next, source, None)) is not None:
                text, count = found
                self._measures.tokens.inc(count - tokens)
                tokens = count
                yield Piece(text, tokens)
                if time.monotonic() > until:
                    yield Piece("", tokens, "time")
                    return
            yield Piece("", tokens, "length" if tokens >= wanted.settings["max_new"] else "end")
        finally:
            self.writing -= 1
            with contextlib.suppress(ValueError):  # a token of it may be computed at this moment
                source.close()
