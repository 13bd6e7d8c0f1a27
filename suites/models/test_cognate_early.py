"""Stopping early: a token that has halted costs nothing more, and what a row gives depends on nothing but the row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from models.cognate.generate import generate
from models.cognate.model import Cognate
from suites.models.cognate_small import exact, some_tokens

torch.set_num_threads(1)
STEPS = 40


def at(threshold: float) -> Cognate:
    """A model whose tokens halt at every depth, read at this threshold."""
    model = exact(recursion_steps=4, micro_steps=1, halting_threshold=threshold)
    with torch.no_grad():
        model.halting.head.weight.mul_(30.0)
    return model


@contextmanager
def refined(model: Cognate) -> Iterator[list[int]]:
    """The rows of every step that is computed meanwhile."""
    rows: list[int] = []
    whole = model.recursion.refine

    def counted(z: Tensor, *rest: object) -> tuple[Tensor, Tensor]:
        rows.append(len(z))
        return whole(z, *rest)  # type: ignore[arg-type]

    model.recursion.refine = counted  # type: ignore[method-assign]
    try:
        yield rows
    finally:
        del model.recursion.refine


@torch.no_grad()
def test_where_nobody_halts_it_is_the_whole_computation() -> None:
    model, tokens = at(1.0), some_tokens(2, STEPS)
    assert torch.equal(model(tokens, early=True).logits, model(tokens).logits)


@torch.no_grad()
def test_the_first_token_and_every_first_step_are_as_in_the_whole_computation() -> None:
    model, tokens = at(0.6), some_tokens(3, STEPS)
    one, other = model(tokens, early=True), model(tokens)
    assert len(other.halting_steps.unique()) > 1
    torch.testing.assert_close(one.logits[:, 0], other.logits[:, 0], rtol=0.0, atol=1e-12)
    torch.testing.assert_close(one.step_hidden[0], other.step_hidden[0], rtol=0.0, atol=1e-12)
    assert torch.equal(one.halting_steps == 1, other.halting_steps == 1)


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.8])
@torch.no_grad()
def test_calls_and_neighbours_do_not_matter(threshold: float) -> None:
    model, tokens = at(threshold), some_tokens(3, STEPS)
    segments = torch.ones_like(tokens)
    segments[0, :5] = 0
    whole = model(tokens, segments=segments, early=True).logits
    for row in range(3):
        alone = model(tokens[row : row + 1], segments=segments[row : row + 1], early=True).logits
        torch.testing.assert_close(alone, whole[row : row + 1], rtol=0.0, atol=1e-10)
    state, parts = model.new_state(3), []
    for place in range(STEPS):
        output = model(tokens[:, place : place + 1], segments=segments[:, place : place + 1], state=state, early=True)
        assert output.state is not None
        state = output.state
        parts.append(output.logits)
    real = segments > 0
    torch.testing.assert_close(torch.cat(parts, dim=1)[real], whole[real], rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("threshold", [0.3, 0.7, 1.0])
@torch.no_grad()
def test_only_steps_that_are_taken_are_computed(threshold: float) -> None:
    model, tokens = at(threshold), some_tokens(3, STEPS)
    state, taken = model.new_state(3), 0
    with refined(model) as rows:
        for place in range(STEPS):
            output = model(tokens[:, place : place + 1], state=state, early=True)
            assert output.state is not None
            state = output.state
            taken += int(output.halting_steps.sum())
    assert sum(rows) == taken
    assert taken == 4 * 3 * STEPS if threshold == 1.0 else taken < 4 * 3 * STEPS


def test_training_computes_every_step() -> None:
    model, tokens = at(0.3).train(), some_tokens(2, 8)
    with refined(model) as rows:
        model(tokens, early=True)
    assert rows == [2] * 4


def test_generation_stops_early_unless_told_otherwise() -> None:
    model = at(0.3)
    with refined(model) as early:
        generate(model, [[1, 2, 3]], max_new=9)
    with refined(model) as whole:
        generate(model, [[1, 2, 3]], max_new=9, early=False)
    assert len(early) < len(whole) == 9 * 4
