"""Texts that are continued together: rows join a running batch and leave it between two tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from models.cognate.generate import check_request, drawn, padded, uniforms
from models.cognate.model import Cognate
from models.cognate.state import KeyValue, MemoryState, State

NOBODY = -1
"""Run of a cached position that no row has."""


@dataclass
class Row:
    """One text.

    Attributes:
        prompt: its tokens. draws: [max_new] in [0, 1), None where the most probable token is taken.
        count: tokens so far. ended: why no more come, "end" or "length".
    """

    prompt: Sequence[int]
    max_new: int
    temperature: float
    top_p: float
    draws: Tensor | None
    count: int = 0
    ended: str | None = None


class Together:
    """A running batch. What a row gives does not depend on the rows beside it, but for rounding."""

    def __init__(self, model: Cognate, stop: int) -> None:
        self._model, self._stop = model, stop
        self._rows: list[Row] = []
        self._state: State | None = None
        self._last: Tensor | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, prompt: Sequence[int], *, max_new: int, temperature: float, top_p: float, seed: int) -> Row:
        """A text that :meth:`step` can begin; settings are those of :func:`models.cognate.generate.generate`.

        Raises:
            InputError: as generate.
        """
        check_request(self._model, [prompt], max_new, temperature, top_p)
        draws = uniforms(1, max_new, seed)[0] if temperature > 0.0 else None
        return Row(prompt, max_new, temperature, top_p, draws)

    @torch.inference_mode()
    def step(self, joining: Sequence[Row], leaving: Sequence[Row] = ()) -> list[tuple[Row, int | None]]:
        """One more token for every row; None where it ends without one. Rows that have ended are left out from then on.

        Args:
            joining: rows to begin. leaving: rows whose text nobody wants any more.
        """
        gone = {id(row) for row in leaving}
        self._keep([index for index, row in enumerate(self._rows) if id(row) not in gone])
        new = [row for row in joining if id(row) not in gone]
        tokens, states = [], []
        if self._rows:
            output = self._model(self._last, state=self._state, early=True)
            tokens.append(self._chosen(output.hidden[:, -1], self._rows))
            states.append(output.state)
        if new:
            given, segments = padded([row.prompt for row in new], self._model.token_embedding.weight.device)
            output = self._model(given, segments=segments, state=self._model.new_state(len(new)))  # prompts in full
            tokens.append(self._chosen(output.hidden[:, -1], new))
            states.append(output.state)
        if not states:
            return []
        self._rows = [*self._rows, *new]
        self._last = torch.cat(tokens).unsqueeze(1)
        self._state = states[0] if len(states) == 1 else joined(*states)
        found = [(row, self._counted(row, int(token))) for row, token in zip(self._rows, self._last, strict=True)]
        self._keep([index for index, row in enumerate(self._rows) if row.ended is None])
        return found

    def _counted(self, row: Row, token: int) -> int | None:
        if token == self._stop:
            row.ended = "end"
            return None
        row.count += 1
        if row.count == row.max_new:
            row.ended = "length"
        return token

    def _chosen(self, hidden: Tensor, rows: Sequence[Row]) -> Tensor:
        """The next token [B] of each row."""
        logits = self._model.head(hidden).float()
        tokens = logits.argmax(dim=1)
        for index, row in enumerate(rows):
            if row.draws is not None:
                uniform = row.draws[row.count : row.count + 1].to(logits.device)
                tokens[index] = drawn(logits[index : index + 1] / row.temperature, row.top_p, uniform)[0]
        return tokens

    def _keep(self, indices: list[int]) -> None:
        """The rows with these indices alone."""
        if len(indices) == len(self._rows) or self._state is None or self._last is None:
            return
        self._rows = [self._rows[index] for index in indices]
        chosen = torch.tensor(indices, dtype=torch.int64, device=self._last.device)
        self._state, self._last = selected(self._state, chosen), self._last[chosen]
        if not indices:
            self._state = self._last = None


def selected(state: State, rows: Tensor) -> State:
    """The state of these rows [R] alone."""
    memory = state.memory
    return replace(
        state,
        caches=tuple(None if pair is None else (pair[0][rows], pair[1][rows]) for pair in state.caches),
        runs=state.runs[rows],
        segment=state.segment[rows],
        run=state.run[rows],
        position=state.position[rows],
        memory=MemoryState(memory.content[rows], memory.fill[rows], memory.usual[rows]),
    )


def joined(one: State, other: State) -> State:
    """The rows of both; the shorter cache is filled up in front with positions that nobody sees."""
    longest = max(one.runs.shape[1], other.runs.shape[1])
    both = [filled(state, longest) for state in (one, other)]
    caches = zip(*(state.caches for state in both), strict=True)
    memories = [state.memory for state in both]
    return State(
        caches=tuple(_pair(a, b) for a, b in caches),
        runs=torch.cat([state.runs for state in both]),
        segment=torch.cat([state.segment for state in both]),
        run=torch.cat([state.run for state in both]),
        position=torch.cat([state.position for state in both]),
        seen=max(state.seen for state in both),
        whole=False,
        memory=MemoryState(
            torch.cat([memory.content for memory in memories]),
            torch.cat([memory.fill for memory in memories]),
            torch.cat([memory.usual for memory in memories]),
        ),
    )


def filled(state: State, longest: int) -> State:
    """The same state with a cache of so many positions."""
    more = longest - state.runs.shape[1]
    if not more:
        return state
    caches = tuple(
        None if pair is None else (F.pad(pair[0], (0, 0, more, 0)), F.pad(pair[1], (0, 0, more, 0)))
        for pair in state.caches
    )
    return replace(state, caches=caches, runs=F.pad(state.runs, (more, 0), value=NOBODY))


def _pair(one: KeyValue | None, other: KeyValue | None) -> KeyValue | None:
    if one is None or other is None:
        return None
    return torch.cat((one[0], other[0])), torch.cat((one[1], other[1]))
