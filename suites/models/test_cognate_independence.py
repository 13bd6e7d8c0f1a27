"""Cognate: what a logit may depend on. No later token, no other row, no other record, no earlier call."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.models.cognate_small import VOCABULARY, exact, packed, small, some_tokens

torch.set_num_threads(1)
few = settings(max_examples=12, deadline=None, derandomize=True)


def everything(model: torch.nn.Module, tokens: torch.Tensor, segments: torch.Tensor | None = None) -> torch.Tensor:
    """All that is said of each position, [B, T, ...]."""
    with torch.no_grad():
        output = model(tokens, segments=segments)
    parts = [output.logits, *output.step_hidden, output.gate, output.halt_weight.permute(1, 2, 0)]
    parts += [each.unsqueeze(2) for each in (output.ponder, output.write, output.halting_steps)]
    return torch.cat(parts, dim=2)


@pytest.mark.parametrize("window", [1, 3, 8, 1024])
@pytest.mark.parametrize("training", [False, True])
@given(steps=st.integers(2, 90), data=st.data())
@few
def test_no_position_sees_a_later_token(window: int, training: bool, steps: int, data: st.DataObject) -> None:
    model = exact(window=window).train(training)
    tokens = some_tokens(2, steps, seed=steps)
    place = data.draw(st.integers(1, steps - 1))
    other = tokens.clone()
    other[:, place] = (other[:, place] + 1) % VOCABULARY
    change = (everything(model, tokens) - everything(model, other)).abs().amax(dim=(0, 2))
    assert float(change[:place].max()) == 0.0
    assert float(change[place]) > 1e-6


def test_a_small_window_hides_what_is_far() -> None:
    model = exact(window=2, layers=1, surprise_threshold=1.0)
    with torch.no_grad():
        model.memory.up.weight.zero_()  # the memory reaches further than the window, on purpose
    tokens = some_tokens(1, 40)
    other = tokens.clone()
    other[:, 0] = (other[:, 0] + 1) % VOCABULARY
    change = (everything(model, tokens)[..., :-2] - everything(model, other)[..., :-2]).abs().amax(dim=(0, 2))
    reach = 1 + 2 * 3  # one layer, then two micro steps in each of three recursion steps
    reach += 3  # answers are looked at, too
    assert float(change[1]) > 1e-6
    assert float(change[reach + 1 :].max()) == 0.0


def test_the_memory_reaches_beyond_the_window() -> None:
    model = exact(window=2)
    tokens = some_tokens(1, 60)
    other = tokens.clone()
    other[:, 0] = (other[:, 0] + 1) % VOCABULARY
    change = (everything(model, tokens) - everything(model, other)).abs().amax(dim=(0, 2))
    assert float(change[-1]) > 1e-6


@given(rows=st.integers(2, 6), steps=st.integers(1, 70))
@few
def test_a_row_does_not_depend_on_the_others(rows: int, steps: int) -> None:
    model, tokens = exact(), some_tokens(rows, steps, seed=steps)
    together = everything(model, tokens)
    alone = torch.cat([everything(model, row.unsqueeze(0)) for row in tokens])
    torch.testing.assert_close(together, alone, rtol=0.0, atol=1e-11)
    backwards = everything(model, tokens.flip(0)).flip(0)
    torch.testing.assert_close(together, backwards, rtol=0.0, atol=1e-11)


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5), padding=st.integers(0, 9), data=st.data())
@few
def test_packed_records_are_as_if_alone(lengths: list[int], padding: int, data: st.DataObject) -> None:
    model = exact(max_length=256, window=data.draw(st.sampled_from([2, 9, 256])))
    total = sum(lengths) + padding
    tokens = some_tokens(1, total, seed=total)
    together = everything(model, tokens, packed(lengths, total))
    first = 0
    for length in lengths:
        alone = everything(model, tokens[:, first : first + length])
        torch.testing.assert_close(together[:, first : first + length], alone, rtol=0.0, atol=1e-10)
        first += length
    assert together.isfinite().all()


def test_packed_records_in_float32() -> None:
    model, tokens = small(), some_tokens(1, 30)
    together = model(tokens, segments=packed([11, 19], 30)).logits
    alone = torch.cat([model(tokens[:, :11]).logits, model(tokens[:, 11:]).logits], dim=1)
    torch.testing.assert_close(together, alone, rtol=0.0, atol=1e-5)


def test_an_id_that_comes_again_does_not_join_two_records() -> None:
    model, tokens = exact(), some_tokens(1, 9)
    ids = torch.tensor([[1, 1, 1, 2, 2, 2, 1, 1, 1]])
    torch.testing.assert_close(everything(model, tokens, ids), everything(model, tokens, packed([3, 3, 3], 9)))


def test_padding_before_and_after_changes_nothing_but_is_finite() -> None:
    model, tokens = exact(), some_tokens(2, 12)
    segments = torch.ones(2, 12, dtype=torch.int64)
    segments[0, :5] = 0
    segments[1, 7:] = 0
    padded = model(tokens, segments=segments)
    for row, real in ((0, slice(5, 12)), (1, slice(0, 7))):
        alone = model(tokens[row : row + 1, real])
        torch.testing.assert_close(padded.logits[row, real], alone.logits[0], rtol=0.0, atol=1e-11)
        torch.testing.assert_close(padded.memory[row], alone.memory[0], rtol=0.0, atol=1e-11)
    assert padded.logits.isfinite().all()
    assert torch.equal(padded.write[segments == 0], torch.zeros(10, dtype=torch.float64))


def test_a_row_of_nothing_but_padding_is_finite_and_leaves_the_others_alone() -> None:
    model, tokens = exact(), some_tokens(2, 6)
    segments = torch.tensor([[0] * 6, [1] * 6])
    output = model(tokens, segments=segments)
    assert output.logits.isfinite().all()
    assert torch.equal(output.memory[0], torch.zeros(6, dtype=torch.float64))
    torch.testing.assert_close(output.logits[1:], model(tokens[1:]).logits, rtol=0.0, atol=1e-11)


@pytest.mark.parametrize("training", [False, True])
def test_a_call_leaves_nothing_behind(training: bool) -> None:
    model, tokens = small().train(training), some_tokens(3, 20)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = everything(model, tokens)
    everything(model, some_tokens(5, 33, seed=1))
    assert torch.equal(first, everything(model, tokens))
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


# -- streaming ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("window", [1, 2, 7, 64])
@given(cuts=st.lists(st.integers(1, 79), max_size=6, unique=True), lengths=st.lists(st.integers(1, 40), max_size=4))
@few
def test_a_stream_in_pieces_is_the_whole(window: int, cuts: list[int], lengths: list[int]) -> None:
    model, tokens = exact(window=window), some_tokens(2, 80)
    segments = packed(lengths, 160)[:, :80].expand(2, -1) if lengths else None
    state = model.new_state(2)
    bounds = [0, *sorted(cuts), 80]
    pieces = []
    for first, last in pairwise(bounds):
        part = None if segments is None else segments[:, first:last]
        output = model(tokens[:, first:last], segments=part, state=state)
        assert output.state is not None
        assert output.state.runs.shape[1] <= max(0, window - 1)
        state = output.state
        pieces.append(output.logits)
    whole = model(tokens, segments=segments)
    real = torch.ones(2, 80, dtype=torch.bool) if segments is None else segments > 0
    torch.testing.assert_close(torch.cat(pieces, dim=1)[real], whole.logits[real], rtol=0.0, atol=1e-10)
    if bool(real[0, bounds[-2] :].any()):
        torch.testing.assert_close(output.memory, whole.memory, rtol=0.0, atol=1e-11)


def test_a_state_can_be_used_twice() -> None:
    model, tokens = small(), some_tokens(2, 10)
    state = model(tokens[:, :6], state=model.new_state(2)).state
    first = model(tokens[:, 6:], state=state).logits
    model(some_tokens(2, 4, seed=1), state=state)
    assert torch.equal(first, model(tokens[:, 6:], state=state).logits)
