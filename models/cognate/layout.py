"""Where each position of a batch stands: its place inside its record, and which earlier positions it may see.

Records that are packed into one row are told apart by their runs: a run is a stretch of positions with one segment id,
so that an id that comes twice in a row does not join two stretches. Padding (segment 0) is a run like any other; its
outputs are finite and nobody sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lvmcheck.errors import InputError
from models.cognate.state import KeyValue, MemoryState, State


@dataclass(frozen=True)
class Layout:
    """Of T new positions after P cached ones.

    Attributes:
        positions: [B or 1, T], index inside the record.
        runs: [B, T]; None where each row is one run, its past included.
        segments: [B, T], 0 at padding; None where there is neither padding nor a boundary.
        before: [B], run of the state that came before; None without one and where it is the same.
        mask: True where a query may see a key, [T, P + T] or [B, 1, T, P + T]; None where all earlier ones are seen.
    """

    positions: Tensor
    runs: Tensor | None = None
    segments: Tensor | None = None
    before: Tensor | None = None
    mask: Tensor | None = None

    @property
    def real(self) -> Tensor | None:
        """[B, T], False at padding; None where there is none."""
        return None if self.segments is None else self.segments > 0

    def of_rows(self, rows: Tensor) -> Layout:
        """What attention reads of it, for the rows [R] alone."""
        return Layout(self.positions, mask=None if self.mask is None or self.mask.ndim < 4 else self.mask[rows])

    @property
    def last(self) -> Tensor | None:
        """Index [B] of the last position that is not padding (0 where all are); None where that is the end."""
        if self.segments is None:
            return None
        index = torch.arange(self.segments.shape[1], device=self.segments.device)
        return torch.where(self.segments > 0, index, 0).amax(dim=1)


def lay_out(tokens: Tensor, segments: Tensor | None, state: State | None, *, window: int, longest: int) -> Layout:
    """The layout of ``tokens`` [B, T] with these records, continuing ``state``.

    Args:
        segments: [B, T] int64, 0 for padding; None when all belong to one record (the one of ``state``, if it has one).
        window: how many positions a query sees, its own included. longest: positions that have an embedding.

    Raises:
        InputError: segments of another shape or type, a state of other rows, or a record longer than ``longest``.
    """
    steps = tokens.shape[1]
    if state is not None and state.batch != tokens.shape[0]:
        raise InputError("model cognate", f"expected a state of {tokens.shape[0]} rows, got {state.batch}")
    if segments is None:
        if state is None:
            return _one_run(tokens, 0, 0, window, longest)
        if state.whole:
            return _one_run(tokens, state.runs.shape[1], state.seen, window, longest)
        segments = state.segment.clamp(min=1).unsqueeze(1).expand(-1, steps)
    _check_segments(segments, tokens)
    return _packed(segments.clamp(min=0), state, window, longest)


def _one_run(tokens: Tensor, past: int, seen: int, window: int, longest: int) -> Layout:
    """Of tokens that go on with the only run there is, after ``seen`` positions of which ``past`` are cached."""
    steps = tokens.shape[1]
    _check_length(seen + steps, longest)
    index = torch.arange(steps, device=tokens.device)
    if steps == 1 or (past == 0 and window >= steps):  # a state keeps no more than a single token may see
        return Layout((index + seen).unsqueeze(0))
    keys = torch.arange(past + steps, device=tokens.device)
    return Layout((index + seen).unsqueeze(0), mask=visible(index + past, keys, window))


def _packed(segments: Tensor, state: State | None, window: int, longest: int) -> Layout:
    steps = segments.shape[1]
    index = torch.arange(steps, device=segments.device)
    earlier = segments.new_full((len(segments),), -1) if state is None else state.segment
    starts = segments != torch.cat((earlier.unsqueeze(1), segments[:, :-1]), dim=1)
    runs = starts.cumsum(dim=1)
    begin = torch.where(starts, index, -1).cummax(dim=1).values
    positions = index - begin
    past = 0
    keys = runs
    if state is not None:
        runs = runs + state.run.unsqueeze(1)
        positions = torch.where(begin < 0, state.position.unsqueeze(1) + index, positions)
        past = state.runs.shape[1]
        keys = torch.cat((state.runs, runs), dim=1)
        if state.seen + steps > longest:
            _check_length(int(positions.max()) + 1, longest)
    else:
        _check_length(steps, longest)
    seen = visible(index + past, torch.arange(past + steps, device=index.device), window)
    mask = seen & (runs.unsqueeze(2) == keys.unsqueeze(1))
    return Layout(positions, runs, segments, None if state is None else state.run, mask.unsqueeze(1))


def advanced(state: State, layout: Layout, keys: tuple[KeyValue, ...], memory: MemoryState, window: int) -> State:
    """The state after the positions of ``layout``, with all keys so far; those no query can see again are dropped."""
    steps = layout.positions.shape[1]
    segments, new = layout.segments, layout.runs
    if segments is None or new is None:
        segments = new = state.runs.new_ones(state.batch, steps)
    runs = torch.cat((state.runs, new), dim=1)
    dropped = max(0, runs.shape[1] - (window - 1))
    return State(
        caches=tuple((key[:, :, dropped:], value[:, :, dropped:]) for key, value in keys),
        runs=runs[:, dropped:],
        segment=segments[:, -1],
        run=new[:, -1],
        position=layout.positions[:, -1].expand(state.batch) + 1,
        seen=state.seen + steps,
        whole=layout.runs is None,
        memory=memory,
    )


def visible(queries: Tensor, keys: Tensor, window: int) -> Tensor:
    """[T, K] of indices [T] and [K]: a query sees itself and the ``window - 1`` before it."""
    distance = queries.unsqueeze(1) - keys
    return (distance >= 0) & (distance < window)


def _check_length(length: int, longest: int) -> None:
    if length > longest:
        raise InputError(
            "model cognate",
            f"expected at most {longest} positions, got {length}",
            key="run.model.max_length",
            fix="Shorten the records or build the model with a larger max_length.",
        )


def _check_segments(segments: Tensor, tokens: Tensor) -> None:
    if segments.shape != tokens.shape or segments.dtype != torch.int64:
        raise InputError(
            "model cognate",
            f"expected segments {list(tokens.shape)} of int64, got {list(segments.shape)} of {segments.dtype}",
        )
