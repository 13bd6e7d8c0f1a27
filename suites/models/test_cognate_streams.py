"""Streams of Cognate: token by token as the whole, in every mode; they fork, and change nothing they handed out."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import product

import pytest
import torch
from torch import Tensor

from models.cognate.attention import turned
from models.cognate.model import Cognate
from models.cognate.state import State
from suites.models.cognate_small import exact, some_tokens

torch.set_num_threads(1)
STEPS = 150
WINDOWS, MODES = (1, 5, 70, 1024), (torch.inference_mode, torch.no_grad, torch.enable_grad)
CASES = (
    [*product(WINDOWS, MODES)]
    if os.environ.get("LVM_RELIABILITY") == "full"
    else [*((window, torch.inference_mode) for window in WINDOWS), *((5, mode) for mode in MODES[1:])]
)


def streamed(model: Cognate, tokens: Tensor, state: State, segments: Tensor | None = None) -> tuple[Tensor, State]:
    """Logits [B, T, V] of tokens [B, T] given one by one after ``state``, and the state they leave."""
    parts = []
    for place in range(tokens.shape[1]):
        part = None if segments is None else segments[:, place : place + 1]
        output = model(tokens[:, place : place + 1], segments=part, state=state)
        assert output.state is not None
        state = output.state
        parts.append(output.logits)
    return torch.cat(parts, dim=1), state


@pytest.mark.parametrize(("window", "mode"), CASES)
def test_token_by_token_is_the_whole(window: int, mode: type[AbstractContextManager[None]]) -> None:
    model, tokens = exact(window=window, rotary=window == 70), some_tokens(2, STEPS)
    with mode():
        logits, state = streamed(model, tokens, model.new_state(2))
        torch.testing.assert_close(logits, model(tokens).logits, rtol=0.0, atol=1e-10)
    assert state.whole
    assert state.position.tolist() == [STEPS] * 2
    assert state.runs.shape[1] == min(window - 1, STEPS)


@pytest.mark.parametrize("window", [5, 70, 1024])
@torch.no_grad()
def test_packed_records_and_padding_token_by_token(window: int) -> None:
    model, tokens = exact(window=window, rotary=window == 70), some_tokens(2, STEPS)
    segments = torch.ones(2, STEPS, dtype=torch.int64)
    segments[0, :7] = 0
    segments[0, 90:] = 2
    segments[1, 20:] = 3
    logits, state = streamed(model, tokens, model.new_state(2), segments)
    real = segments > 0
    torch.testing.assert_close(logits[real], model(tokens, segments=segments).logits[real], rtol=0.0, atol=1e-10)
    assert not state.whole


@torch.no_grad()
def test_a_stream_without_records_may_get_some_later() -> None:
    model, tokens = exact(), some_tokens(2, 60)
    segments = torch.ones(2, 60, dtype=torch.int64)
    segments[1, 40:] = 2
    first, state = streamed(model, tokens[:, :30], model.new_state(2))
    second, _ = streamed(model, tokens[:, 30:], state, segments[:, 30:])
    whole = model(tokens, segments=segments).logits
    torch.testing.assert_close(torch.cat((first, second), dim=1), whole, rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("window", [9, 1024])
@torch.no_grad()
def test_streams_that_fork_do_not_disturb_each_other(window: int) -> None:
    model, tokens = exact(window=window), some_tokens(2, 40)
    other = torch.cat((tokens[:, :20], some_tokens(2, 20, seed=1)), dim=1)
    _, fork = streamed(model, tokens[:, :20], model.new_state(2))
    held = [tensor.clone() for cache in fork.caches if cache is not None for tensor in cache]
    ways, states = (tokens, other), [fork, fork]
    for place in range(20, 40):  # in turns, so that each would write where the other did
        for index, way in enumerate(ways):
            logits, states[index] = streamed(model, way[:, place : place + 1], states[index])
            whole = model(way[:, : place + 1]).logits[:, -1:]
            torch.testing.assert_close(logits, whole, rtol=0.0, atol=1e-10)
    now = [tensor for cache in fork.caches if cache is not None for tensor in cache]
    assert all(torch.equal(one, other) for one, other in zip(held, now, strict=True))


def test_threads_may_continue_one_state() -> None:
    model, tokens = exact(), [some_tokens(1, 30, seed=seed) for seed in range(6)]
    with torch.no_grad():
        _, fork = streamed(model, some_tokens(1, 10, seed=9), model.new_state(1))

    def go_on(way: Tensor) -> Tensor:
        with torch.no_grad():  # a mode is a thread's own
            return streamed(model, way, fork)[0]

    with ThreadPoolExecutor(len(tokens)) as threads:
        together = list(threads.map(go_on, tokens))
    for logits, way in zip(together, tokens, strict=True):
        torch.testing.assert_close(logits, go_on(way), rtol=0.0, atol=1e-11)


def test_a_state_goes_on_in_another_mode() -> None:
    model, tokens = exact(), some_tokens(1, 12)
    with torch.no_grad():
        whole = model(tokens).logits
        _, plain = streamed(model, tokens[:, :8], model.new_state(1))
    with torch.inference_mode():
        _, state = streamed(model, tokens[:, :8], model.new_state(1))
        torch.testing.assert_close(streamed(model, tokens[:, 8:], plain)[0], whole[:, 8:], rtol=0.0, atol=1e-10)
    with torch.no_grad():
        torch.testing.assert_close(streamed(model, tokens[:, 8:], state)[0], whole[:, 8:], rtol=0.0, atol=1e-10)


def test_a_gradient_is_not_hurt_by_who_goes_on_meanwhile() -> None:
    model, tokens = exact(), some_tokens(1, 12)
    with torch.no_grad():
        _, state = streamed(model, tokens[:, :8], model.new_state(1))
    loss = model(tokens[:, 8:], state=state).logits.square().sum()
    with torch.no_grad():
        streamed(model, tokens[:, 8:], state)
    loss.backward()
    gradient = model.layers[0].attention.qkv.weight.grad.clone()  # type: ignore[operator, union-attr]
    model.zero_grad()
    model(tokens[:, 8:], state=state).logits.square().sum().backward()
    assert torch.equal(gradient, model.layers[0].attention.qkv.weight.grad)  # type: ignore[arg-type, union-attr]


@torch.no_grad()
def test_rotary_products_depend_on_how_far_apart_tokens_are() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 2, 1, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    at = [torch.tensor([[place]]) for place in (0, 3, 5, 9, 12)]
    products = [(turned(query, one) * turned(key, other)).sum() for one, other in ((at[1], at[0]), (at[4], at[3]))]
    torch.testing.assert_close(products[0], products[1], rtol=0.0, atol=1e-5)
    assert abs(float((turned(query, at[2]) * turned(key, at[0])).sum() - products[0])) > 1e-2
    torch.testing.assert_close(turned(query, at[3]).norm(), query.norm(), rtol=0.0, atol=1e-6)
