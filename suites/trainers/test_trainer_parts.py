"""The parts of the vector trainer: order of batches, schedules, evaluation, clipping and probes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lvmcheck.testing.evaluations import term_gradient_norms
from models.data.loader import Loader, epoch_order, sample
from models.data.store import Corpus, Windows
from models.fast.memory_block import MemoryBlock
from models.losses import Batch, compute_terms, unit
from models.lvm.amn import AMN
from models.optim.clip import clip
from models.optim.schedule import Schedule, constant_lr, cosine_lr
from models.runtime.eval_mode import eval_mode
from models.trainers.evaluation import evaluate, evaluate_model, mean_of_context
from models.trainers.probes import due

torch.set_num_threads(1)
CPU = torch.device("cpu")


def windows(rows: int = 40, dim: int = 6, seed: int = 0) -> Windows:
    vectors = unit(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))).numpy()
    return Corpus("test", vectors, (np.arange(rows) // 12).astype(np.int32)).windows(3)


# -- batches -----------------------------------------------------------------------------------------------------------
@given(seed=st.integers(0, 99), epoch=st.integers(0, 50), size=st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_the_order_is_a_permutation_that_seed_and_epoch_decide(seed: int, epoch: int, size: int) -> None:
    np.random.seed(epoch)  # the global generator has no say
    order = epoch_order(seed, epoch, size)
    assert sorted(order.tolist()) == list(range(size))
    assert np.array_equal(order, epoch_order(seed, epoch, size))
    if size > 20:
        assert not np.array_equal(order, epoch_order(seed, epoch + 1, size))
        assert not np.array_equal(order, epoch_order(seed + 1, epoch, size))


@given(batch_size=st.integers(1, 40), first=st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_an_epoch_shows_each_window_once_and_can_begin_anywhere(batch_size: int, first: int) -> None:
    items = windows()
    loader = Loader(items, batch_size, CPU)
    whole = [target.clone() for _, target in loader.shuffled(1, 2)]
    assert len(whole) == len(loader) == math.ceil(len(items) / loader.batch_size)
    seen, every = torch.cat(whole), torch.from_numpy(items.batch(slice(None))[1])
    assert sorted(seen.tolist()) == sorted(every.tolist())
    part = [target.clone() for _, target in loader.shuffled(1, 2, first=first)]
    assert len(part) == max(0, len(whole) - first)
    assert all(torch.equal(a, b) for a, b in zip(part, whole[first:], strict=True))
    assert torch.equal(torch.cat([target.clone() for _, target in loader.in_order()]), every)


def test_a_sample_holds_only_its_own_vectors() -> None:
    items = windows(rows=200)
    few = sample(items, 5, seed=0)
    assert len(few) == 5
    assert len(few.corpus) <= 20
    context, target = few.batch(slice(None))
    chosen = np.sort(epoch_order(0, 0, len(items))[:5])
    expected = items.batch(chosen)
    assert np.array_equal(context, expected[0])
    assert np.array_equal(target, expected[1])
    assert len(sample(items, 10**6, seed=0)) == len(items)


# -- schedules ---------------------------------------------------------------------------------------------------------
@given(total=st.integers(2, 200), warmup=st.integers(0, 50), low=st.floats(0, 1e-4))
@settings(max_examples=40, deadline=None)
def test_the_cosine_rises_then_falls_between_its_bounds(total: int, warmup: int, low: float) -> None:
    warmup = min(warmup, total - 2)
    rates = [cosine_lr(step, total, 1e-3, low, warmup) for step in range(total)]
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(low, abs=1e-12)
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert all(rate > 0 for rate in rates[:-1])


def test_the_constant_rate_warms_up_in_a_line() -> None:
    assert [constant_lr(step, 1.0, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert constant_lr(0, 1.0, 0) == 1.0


def test_the_plateau_halves_after_more_than_three_epochs_without_improvement() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1.0)
    schedule = Schedule("plateau", optimizer, total=0, lr=1.0)
    rates = []
    for loss in (1.0, 0.9, 0.9, 0.9, 0.9, 0.9, math.nan, math.nan, math.nan, math.nan):
        schedule.after_epoch(loss)
        rates.append(schedule.before_step(0))
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]


# -- evaluation --------------------------------------------------------------------------------------------------------
@given(batch_size=st.integers(1, 40), seed=st.integers(0, 20))
@settings(max_examples=15, deadline=None)
def test_evaluation_agrees_with_its_definitions_whatever_the_batch_size(batch_size: int, seed: int) -> None:
    items = windows(seed=seed)
    got = evaluate(mean_of_context, items, batch_size=batch_size, device=CPU)
    context, target = (torch.from_numpy(part).double() for part in items.batch(slice(None)))
    q = unit(context.mean(dim=1))
    n = len(q)
    assert got.samples == n
    assert got.cosine == pytest.approx(float((q * target).sum(1).mean()), abs=1e-6)
    assert got.loss == pytest.approx(float((q - target).square().mean()), abs=1e-6)
    pairs = [float(q[i] @ q[j]) for i in range(n) for j in range(n) if i != j]
    assert got.self_similarity == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
    direction = unit(target.mean(0))
    assert got.mean_direction == pytest.approx(float((q @ direction).mean()), abs=1e-6)
    assert got.target_mean_direction == pytest.approx(float((target @ direction).mean()), abs=1e-6)


def test_a_perfect_and_a_collapsed_predictor() -> None:
    items = windows()
    answers = torch.from_numpy(items.batch(slice(None))[1])
    perfect = evaluate(lambda context: answers[: len(context)], items, batch_size=100, device=CPU)
    assert perfect.cosine == pytest.approx(1.0)
    assert perfect.loss == pytest.approx(0.0, abs=1e-12)
    constant = unit(torch.ones(6))
    collapsed = evaluate(lambda context: constant.expand(len(context), 6), items, batch_size=7, device=CPU)
    assert collapsed.self_similarity == pytest.approx(1.0)


class Modes(nn.Module):
    """Notes the mode it is called in."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Dropout(0.9)
        self.seen: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(self.training or self.inner.training)
        return self.inner(x.mean(dim=1))


def test_evaluation_is_in_eval_mode_and_puts_every_mode_back() -> None:
    model = Modes().train()
    model.inner.eval()  # frozen on purpose
    before = torch.get_rng_state()
    first, second = (evaluate_model(model, windows(), batch_size=8, device=CPU) for _ in range(2))
    assert first == second
    assert not any(model.seen)
    assert (model.training, model.inner.training) == (True, False)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(RuntimeError, match="inside"), eval_mode(model):
        raise RuntimeError("inside")
    assert (model.training, model.inner.training) == (True, False)


# -- gradients ---------------------------------------------------------------------------------------------------------
def gradients(one_block: bool, *values: Tensor) -> tuple[list[nn.Parameter], Tensor | None]:
    """Parameters with these gradients, in one block of memory or each by itself."""
    parameters, block = [nn.Parameter(torch.zeros_like(value)) for value in values], MemoryBlock(values)
    block.copy_(values)
    for parameter, value, part in zip(parameters, values, block.parts, strict=True):
        parameter.grad = part if one_block else value.clone()
    return parameters, block.flat if one_block else None


@pytest.mark.parametrize("one_block", [False, True])
def test_clipping_returns_the_norm_before_and_scales_to_the_limit(one_block: bool) -> None:
    for limit, after in ((1.0, 1.0), (10.0, 5.0), (0.0, 5.0)):
        parameters, flat = gradients(one_block, torch.tensor([3.0, 0.0, 0.0]), torch.tensor([4.0]))
        assert float(clip(parameters, limit, flat)) == pytest.approx(5.0)
        assert math.hypot(*(float(p.grad.norm()) for p in parameters if p.grad is not None)) == pytest.approx(after)


@pytest.mark.parametrize("one_block", [False, True])
@pytest.mark.parametrize("limit", [0.0, 1.0])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_is_returned_as_it_is(limit: float, bad: float, one_block: bool) -> None:
    parameters, flat = gradients(one_block, torch.tensor([1.0, bad]), torch.tensor([1.0]))
    assert not math.isfinite(float(clip(parameters, limit, flat)))
    clipped = [float(value) for p in parameters if p.grad is not None for value in p.grad]
    if limit and math.isnan(bad):
        assert all(math.isnan(value) for value in clipped)
    elif limit:
        assert math.isnan(clipped[1])
        assert clipped[0] == clipped[2] == 0.0
    else:
        assert not math.isfinite(clipped[1])


def test_term_gradient_norms_are_those_of_separate_backward_passes() -> None:
    torch.manual_seed(0)
    model = AMN(input_dim=6, d_model=4, hidden_dim=5)
    parameters = list(model.parameters())
    context, target = (torch.from_numpy(part) for part in windows().batch(slice(0, 16)))
    weights = {"mse": 2.0, "info_nce": 0.5, "variance": 0.1}

    def terms() -> dict[str, tuple[float, Tensor]]:
        raw, prediction = model(context, return_raw=True)
        return compute_terms(weights, Batch(raw, prediction, target))

    held = terms()
    norms = term_gradient_norms(held, parameters)
    assert all(p.grad is None for p in parameters)
    sum(weight * value for weight, value in held.values()).backward()  # type: ignore[union-attr]
    for name in weights:
        model.zero_grad()
        weight, value = terms()[name]
        (weight * value).backward()
        expected = math.sqrt(sum(float(p.grad.square().sum()) for p in parameters if p.grad is not None))
        assert norms[name] == pytest.approx(expected, rel=1e-5)


def test_probes_are_due_at_the_first_step_and_regularly() -> None:
    assert [step for step in range(1, 31) if due(step, 10, 2)] == [1, 10, 20, 30]
    assert not any(due(step, 10, 1) for step in range(1, 31))
    assert not any(due(step, 0, 3) for step in range(1, 31))
