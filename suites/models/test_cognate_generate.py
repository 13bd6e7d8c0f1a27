"""Generation from Cognate: cached as uncached, rows by themselves, sampling by its distribution, options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.errors import InputError
from models.cognate.generate import drawn, generate, padded, uniforms
from suites.models.cognate_small import VOCABULARY, exact, small, some_tokens, trained

torch.set_num_threads(1)
PROMPTS = [[1, 2, 3, 4, 5], [7], [3, 3, 9]]


@pytest.mark.parametrize("window", [1, 3, 1024])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_with_and_without_a_cache(window: int, temperature: float) -> None:
    model = exact(window=window)
    cached = generate(model, PROMPTS, max_new=20, temperature=temperature, seed=3, early=False)
    assert cached == generate(model, PROMPTS, max_new=20, temperature=temperature, seed=3, cache=False)
    assert [len(row) for row in cached] == [20] * 3


@pytest.mark.parametrize("changes", [{}, {"d_model": 128, "d_ff": 192}])  # the latter has maps that go in blocks
@torch.no_grad()
def test_cached_logits_are_the_uncached_in_float32(changes: dict[str, int]) -> None:
    model, tokens = small(**changes), some_tokens(2, 40)
    state, parts = model.new_state(2), []
    for place in range(40):
        output = model(tokens[:, place : place + 1], state=state)
        assert output.state is not None
        state = output.state
        parts.append(output.logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens).logits, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_prompt_continues_as_if_alone(temperature: float) -> None:
    model = exact()
    together = generate(model, PROMPTS, max_new=12, temperature=temperature)
    assert generate(model, PROMPTS[:1], max_new=12, temperature=temperature) == together[:1]
    others = [PROMPTS[0], [8, 8, 8, 8, 8, 8, 8, 8, 8], PROMPTS[2]]
    again = generate(model, others, max_new=12, temperature=temperature)
    assert [again[0], again[2]] == [together[0], together[2]]


def test_greedy_takes_the_most_probable_token() -> None:
    model = exact()
    row = generate(model, [[1, 2, 3]], max_new=6, early=False)[0]
    tokens = [1, 2, 3]
    for token in row:
        with torch.no_grad():
            assert int(model(torch.tensor([tokens])).logits[0, -1].argmax()) == token
        tokens.append(token)


def test_the_stop_token_ends_a_row_and_is_left_out() -> None:
    model = exact()
    free = generate(model, PROMPTS, max_new=20)
    stop = free[0][4]
    stopped = generate(model, PROMPTS, max_new=20, stop=stop)
    for row, whole in zip(stopped, free, strict=True):
        assert row == (whole[: whole.index(stop)] if stop in whole else whole)
    assert len(stopped[0]) <= 4


def test_a_seed_draws_the_same_and_another_seed_something_else() -> None:
    model = small()
    one = generate(model, PROMPTS, max_new=20, temperature=1.0, seed=1)
    assert one == generate(model, PROMPTS, max_new=20, temperature=1.0, seed=1)
    assert one != generate(model, PROMPTS, max_new=20, temperature=1.0, seed=2)


def test_the_mode_of_the_model_is_left_as_it_was() -> None:
    model = small(dropout=0.5).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    one = generate(model, PROMPTS, max_new=5)
    assert one == generate(model, PROMPTS, max_new=5)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_model_that_learned_to_count_counts() -> None:
    rows = generate(trained(), [[start] for start in (1, 7, 12, 21)], max_new=2)
    assert rows == [[2, 3], [8, 9], [13, 14], [22, 0]]


# -- sampling ----------------------------------------------------------------------------------------------------------
def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.1, 2.0, -1.0, 1.0])
    uniform = (torch.arange(4000) + 0.5) / 4000
    counts = torch.bincount(drawn(logits.expand(4000, -1), 1.0, uniform), minlength=4) / 4000
    torch.testing.assert_close(counts, logits.softmax(dim=0), rtol=0.0, atol=1e-3)


@given(seed=st.integers(0, 99), top_p=st.floats(0.01, 1.0))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_only_the_fewest_tokens_that_reach_top_p_are_drawn(seed: int, top_p: float) -> None:
    logits = 2.0 * torch.randn(9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    probability, order = logits.softmax(dim=0).sort(descending=True)
    needed = 1 + int((probability.cumsum(dim=0)[:-1] < top_p).sum())
    uniform = torch.linspace(0.0, 1.0 - 1e-12, 500, dtype=torch.float64)
    found = set(drawn(logits.expand(500, -1), top_p, uniform).tolist())
    assert found <= set(order[:needed].tolist())
    assert int(order[0]) in found


def test_streams_of_rows_are_their_own() -> None:
    assert torch.equal(uniforms(3, 5, seed=1)[:2], uniforms(2, 5, seed=1))
    assert not torch.equal(uniforms(2, 5, seed=1)[0], uniforms(2, 5, seed=1)[1])
    assert float(uniforms(9, 200, seed=0).max()) < 1.0


def test_prompts_stand_at_the_right_end() -> None:
    tokens, segments = padded(PROMPTS, torch.device("cpu"))
    assert segments is not None
    assert tokens.tolist() == [[1, 2, 3, 4, 5], [0, 0, 0, 0, 7], [0, 0, 3, 3, 9]]
    assert segments.tolist() == [[1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [0, 0, 1, 1, 1]]


def test_prompts_of_one_length_need_no_records() -> None:
    tokens, segments = padded([[1, 2], [3, 4]], torch.device("cpu"))
    assert tokens.tolist() == [[1, 2], [3, 4]]
    assert segments is None
    rows = [[1, 2], [3, 4]]
    uncached = generate(exact(), rows, max_new=20, cache=False)
    assert generate(exact(), rows, max_new=20, early=False) == uncached
    padding = generate(exact(), [*rows, [5, 6, 7]], max_new=20, early=False)
    assert padding[:2] == uncached


# -- options -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([], {}, "generate: expected at least one prompt, got none."),
        ([[1], []], {}, "generate: expected at least one token, prompt 1 has none."),
        ([[1]], {"max_new": 0}, "generate: max_new: expected at least 1 new token, got 0."),
        ([[1]], {"temperature": -1.0}, "generate: temperature: expected a temperature of at least 0, got -1.0."),
        ([[1]], {"top_p": 0.0}, "generate: top_p: expected more than 0 and at most 1, got 0.0."),
        (
            [[1] * 9],
            {"max_new": 160},
            "generate: run.model.max_length: prompt 0 of 9 tokens and 160 new ones do not fit in 160."
            " Shorten it or ask for fewer.",
        ),
        (
            [[VOCABULARY]],
            {},
            "model cognate: run.model.vocab_size: expected tokens from 0 to 22, got 23."
            " The tokenizer and the model must have the same vocabulary.",
        ),
    ],
)
def test_bad_options_are_named(prompts: list[list[int]], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        generate(small(), prompts, **{"max_new": 4, **options})
    assert str(caught.value) == message
