"""Cognate's memory: the scan against a loop over time, what is written, and what specialisations make of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.cognate.layout import lay_out
from models.cognate.memory import LongTermMemory, held_tokens, surprise
from models.cognate.scan import mean, scan
from models.cognate.specialisation import SPECIALISATIONS, Specialisation, get_specialisation
from models.cognate.state import MemoryState, State
from suites.models.cognate_loops import memory_loop, scan_loop
from suites.models.cognate_small import packed

torch.set_num_threads(1)
few = settings(max_examples=20, deadline=None, derandomize=True)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(of: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Of a sum with uneven weights."""
    weights = torch.linspace(-1.0, 2.0, of.numel(), dtype=of.dtype).view_as(of)
    return torch.autograd.grad(
        (of * weights).sum(), inputs, retain_graph=True, allow_unused=True, materialize_grads=True
    )


# -- the scan ----------------------------------------------------------------------------------------------------------
@given(
    steps=st.integers(1, 70),
    chunk=st.integers(1, 40),
    with_runs=st.booleans(),
    with_initial=st.booleans(),
    exclusive=st.booleans(),
)
@few
def test_the_scan_is_the_loop_and_so_are_its_gradients(
    steps: int, chunk: int, with_runs: bool, with_initial: bool, exclusive: bool
) -> None:
    x = normal(3, steps, 4, seed=steps).requires_grad_()
    rate = normal(3, steps, seed=1).sigmoid().requires_grad_()
    initial = normal(3, 4, seed=2).requires_grad_() if with_initial else None
    runs = (normal(3, steps, seed=3) > 1.2).cumsum(dim=1) if with_runs else None
    before = torch.tensor([0, 0, -1]) if with_runs and with_initial else None
    inputs = [each for each in (x, rate, initial) if each is not None]
    fast = scan(x, rate, runs, initial, before, exclusive=exclusive, chunk=chunk)
    slow = scan_loop(x, rate, runs, initial, before, exclusive=exclusive)
    torch.testing.assert_close(fast, slow, rtol=0.0, atol=1e-10)
    if slow.requires_grad:  # the state before the first position alone has none
        for one, other in zip(gradients(fast, *inputs), gradients(slow, *inputs), strict=True):
            torch.testing.assert_close(one, other, rtol=0.0, atol=1e-10)


@given(steps=st.integers(1, 70), chunk=st.integers(1, 40), with_runs=st.booleans(), with_initial=st.booleans())
@few
def test_the_mean_is_the_state_over_what_it_is_filled(
    steps: int, chunk: int, with_runs: bool, with_initial: bool
) -> None:
    x = normal(2, steps, 4, seed=steps)
    rate = 0.9 * normal(2, steps, seed=1).sigmoid()
    initial = (normal(2, 4, seed=2), normal(2, seed=4).sigmoid()) if with_initial else None
    runs = (normal(2, steps, seed=3) > 1.2).cumsum(dim=1) if with_runs else None
    before = torch.tensor([0, -1]) if with_runs and with_initial else None
    known, fill = mean(x, rate, runs, initial, before, chunk=chunk)
    first = (None, None) if initial is None else (initial[0], initial[1].unsqueeze(1))
    ones = torch.ones(2, steps, 1, dtype=torch.float64)
    torch.testing.assert_close(fill, scan_loop(ones, rate, runs, first[1], before).squeeze(2), rtol=0.0, atol=1e-12)
    held = scan_loop(x, rate, runs, first[0], before)
    torch.testing.assert_close(known * fill.unsqueeze(2), held, rtol=0.0, atol=1e-10)


def test_one_rate_for_all_rows_is_the_same_rate_in_each() -> None:
    x, rate = normal(3, 150, 4), normal(1, 150).sigmoid()
    torch.testing.assert_close(scan(x, rate), scan(x, rate.expand(3, -1)))


def test_the_mean_of_nothing_is_zero() -> None:
    known, fill = mean(normal(1, 4, 3), torch.tensor([[0.0, 0.0, 0.5, 0.0]], dtype=torch.float64))
    assert float(known[0, :2].abs().max()) == 0.0
    assert fill.tolist() == [[0.0, 0.0, 0.5, 0.5]]


def test_the_scan_stays_exact_over_long_rows_in_float32() -> None:
    x, rate = normal(2, 2048, 3), torch.full((2, 2048), 0.01, dtype=torch.float64)
    fast = scan(x.float(), rate.float())
    torch.testing.assert_close(fast.double(), scan_loop(x, rate), rtol=0.0, atol=2e-6)


# -- the memory --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(SPECIALISATIONS))
@pytest.mark.parametrize("lengths", [[150], [40, 3, 107], [1, 1, 148]])
def test_the_memory_is_its_equations_step_by_step(name: str, lengths: list[int]) -> None:
    torch.manual_seed(0)
    module, specialisation = LongTermMemory(10, 5).double(), get_specialisation(name)
    y = normal(2, 150, 10).requires_grad_()
    segments = packed(lengths, 150).expand(2, -1)
    layout = lay_out(segments, segments, None, window=8, longest=150)
    reading = module(y, layout, specialisation, None)
    slow = memory_loop(module, y, segments, specialisation)
    torch.testing.assert_close(reading.read, slow.read, rtol=0.0, atol=1e-10)
    torch.testing.assert_close(reading.write, slow.write, rtol=0.0, atol=1e-10)
    torch.testing.assert_close(reading.state.content, slow.state.content, rtol=0.0, atol=1e-10)
    inputs = (y, *module.parameters())
    for one, other in zip(gradients(reading.read, *inputs), gradients(slow.read, *inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-9)


def test_a_memory_that_was_handed_over_goes_on() -> None:
    torch.manual_seed(0)
    module, specialisation = LongTermMemory(10, 5).double(), get_specialisation("memory")
    y = normal(2, 90, 10)
    ones = torch.ones(2, 90, dtype=torch.int64)
    whole = module(y, lay_out(ones, None, None, window=8, longest=90), specialisation, None)
    past, parts = MemoryState.empty(2, 5, y), []
    for first, last in ((0, 1), (1, 70), (70, 90)):
        part = module(
            y[:, first:last], lay_out(ones[:, first:last], None, None, window=8, longest=90), specialisation, past
        )
        parts.append(part.read)
        past = part.state
    torch.testing.assert_close(torch.cat(parts, dim=1), whole.read, rtol=0.0, atol=1e-11)
    for name in ("content", "fill", "usual"):
        torch.testing.assert_close(getattr(past, name), getattr(whole.state, name), rtol=0.0, atol=1e-12)


def test_surprise_is_none_of_the_same_and_all_of_the_opposite() -> None:
    x = normal(7, 5)
    torch.testing.assert_close(surprise(x, 3.0 * x), torch.zeros(7, dtype=torch.float64), rtol=0.0, atol=1e-9)
    torch.testing.assert_close(surprise(x, -x), torch.ones(7, dtype=torch.float64), rtol=0.0, atol=1e-9)
    assert torch.equal(surprise(x, torch.zeros_like(x)), torch.full((7,), 0.5, dtype=torch.float64))


def test_surprise_at_zero_has_a_finite_gradient() -> None:
    usual = torch.zeros(4, 5, dtype=torch.float64, requires_grad=True)
    surprise(normal(4, 5), usual).sum().backward()  # type: ignore[no-untyped-call]
    assert usual.grad is not None
    assert usual.grad.isfinite().all()


def test_repeated_content_is_written_less_than_new_content() -> None:
    torch.manual_seed(0)
    module, specialisation = LongTermMemory(10, 5).double(), get_specialisation("reasoning")
    y = normal(1, 1, 10).expand(1, 20, 10).clone()
    y[:, 15] = -y[:, 15]
    ones = torch.ones(1, 20, dtype=torch.int64)
    write = module(y, lay_out(ones, None, None, window=8, longest=20), specialisation, None).write[0]
    assert float(write[1:15].max().detach()) < 0.05
    assert float(write[15].detach()) > 0.95


# -- what it holds -----------------------------------------------------------------------------------------------------
def test_held_tokens_of_equal_writes() -> None:
    specialisation = Specialisation(halting_threshold=0.5, memory_capacity=50, surprise_threshold=0.4)
    full = held_tokens(torch.ones(1, 2000, dtype=torch.float64), specialisation)[0]
    assert float(full[0]) == pytest.approx(1.0)
    assert float(full[-1]) == pytest.approx(2 * 50 - 1, rel=1e-6)  # Kish: (1 + a) / (1 - a)
    assert float(full.diff().min()) > -1e-9
    nothing = held_tokens(torch.zeros(1, 10, dtype=torch.float64), specialisation)
    assert torch.equal(nothing, torch.zeros(1, 10, dtype=torch.float64))


def test_a_record_starts_with_an_empty_memory() -> None:
    specialisation = get_specialisation("memory")
    segments = packed([6, 4], 10)
    layout = lay_out(segments, segments, None, window=8, longest=10)
    held = held_tokens(torch.ones(1, 10, dtype=torch.float64), specialisation, layout.runs)[0]
    torch.testing.assert_close(held[6:], held[:4])


def test_the_longer_the_horizon_the_more_is_held() -> None:
    write = torch.rand(2, 300, generator=torch.Generator().manual_seed(0))
    held = {
        name: float(held_tokens(write, specialisation)[:, -1].mean())
        for name, specialisation in SPECIALISATIONS.items()
    }
    assert held["speed"] < held["reasoning"] < held["memory"]


def test_an_empty_state_holds_nothing() -> None:
    state = State.empty(3, 4, MemoryState.empty(3, 5, torch.zeros(1)))
    assert state.batch == 3
    assert float(state.memory.content.abs().max()) == 0.0
