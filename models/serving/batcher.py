"""Contexts of many clients predicted together: whatever waits when the model is free is one batch."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from models.checkpoints.predictor import Predictor
from models.serving.limits import Limits, RefusedError
from models.serving.measures import Measures


@dataclass(eq=False)
class Waiting:
    """Contexts [B, T, D] of one request, and where their predictions [B, D] go."""

    rows: Tensor
    answer: asyncio.Future[Tensor]


class Batcher:
    """One model, one thread that computes, and a queue of bounded length before it."""

    def __init__(self, predictor: Predictor, limits: Limits, measures: Measures) -> None:
        self.predictor = predictor
        self._limits, self._measures = limits, measures
        self._queue: deque[Waiting] = deque()
        self._rows = 0
        self._more = asyncio.Event()
        self._pool = ThreadPoolExecutor(1, "predict")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to answer."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Ends; what still waits is cancelled."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        while self._queue:
            self._queue.popleft().answer.cancel()
        self._pool.shutdown()

    def submit(self, rows: Tensor) -> asyncio.Future[Tensor]:
        """The predictions to come; whoever no longer wants them cancels them.

        Raises:
            RefusedError: too many wait already.
        """
        if self._rows + len(rows) > self._limits.waiting:
            raise RefusedError(503, f"{self._rows:,} contexts wait already; try again in a second")
        answer: asyncio.Future[Tensor] = asyncio.get_running_loop().create_future()
        self._queue.append(Waiting(rows, answer))
        self._rows += len(rows)
        self._more.set()
        return answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._more.wait()
            batch = self._taken()
            if not batch:
                continue
            self._measures.batch(sum(len(each.rows) for each in batch))
            try:
                parts = await loop.run_in_executor(self._pool, self._predict, [each.rows for each in batch])
            except Exception as error:  # the requests of this batch fail, the server goes on
                for each in batch:
                    if not each.answer.done():
                        each.answer.set_exception(error)
                continue
            for each, part in zip(batch, parts, strict=True):
                if not each.answer.done():
                    each.answer.set_result(part)

    def _taken(self) -> list[Waiting]:
        """What is computed next: at least one request, and no more rows than a batch may have if it can be."""
        batch: list[Waiting] = []
        rows = 0
        while self._queue and (not batch or rows + len(self._queue[0].rows) <= self._limits.batch):
            each = self._queue.popleft()
            self._rows -= len(each.rows)
            if not each.answer.done():  # else its client has gone
                batch.append(each)
                rows += len(each.rows)
        if not self._queue:
            self._more.clear()
        return batch

    def _predict(self, parts: list[Tensor]) -> list[Tensor]:
        with torch.inference_mode():
            predicted = self.predictor.run(torch.cat(parts) if len(parts) > 1 else parts[0]).cpu()
        return list(torch.split(predicted, [len(part) for part in parts]))
