"""Backward passes written by hand, against autograd's own on the same formulas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.lvm.amn import AMN
from models.pooling import pair_linear, pool


def some(*shape: int, seed: int, grad: bool = True) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.requires_grad_(grad)


def plain_pool(x: Tensor, direction: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    attention = torch.softmax(torch.einsum("btd,bd->bt", x, direction) + offset[:, None], dim=1)
    return torch.einsum("bt,btd->bd", attention, x), attention


def plain_pair(fixed: Tensor, free: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.linear(torch.cat((fixed, free), dim=1), weight, bias)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 7), st.integers(0, 1000))
def test_pool_and_its_gradients_are_those_of_autograd(rows: int, steps: int, width: int, seed: int) -> None:
    x = some(rows, steps, width, seed=seed, grad=False)
    direction, offset = some(rows, width, seed=seed + 1), some(rows, seed=seed + 2)
    along, across = some(rows, width, seed=seed + 3, grad=False), some(rows, steps, seed=seed + 4, grad=False)
    for uses_attention in (False, True):
        values, gradients = [], []
        for function in (pool, plain_pool):
            mixture, attention = function(x, direction, offset)
            loss = (mixture * along).sum() + ((attention * across).sum() if uses_attention else 0.0)
            values.append((mixture, attention))
            gradients.append(torch.autograd.grad(loss, (direction, offset)))
        torch.testing.assert_close(values[0], values[1], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-11)


def test_an_attention_alone_has_its_gradient() -> None:
    x, direction, offset = some(3, 4, 5, seed=0, grad=False), some(3, 5, seed=1), some(3, seed=2)
    grads = [
        torch.autograd.grad(function(x, direction, offset)[1].square().sum(), direction)[0]
        for function in (pool, plain_pool)
    ]
    assert float(grads[0].abs().max()) > 0
    torch.testing.assert_close(*grads)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 7), st.integers(1, 4), st.integers(0, 1000))
def test_pair_linear_and_its_gradients_are_those_of_autograd(
    rows: int, known: int, free: int, out: int, seed: int
) -> None:
    fixed = some(rows, known, seed=seed, grad=False)
    inputs = some(rows, free, seed=seed + 1), some(out, known + free, seed=seed + 2), some(out, seed=seed + 3)
    along = some(rows, out, seed=seed + 4, grad=False)
    values = [function(fixed, *inputs) for function in (pair_linear, plain_pair)]
    gradients = [torch.autograd.grad((value * along).sum(), inputs) for value in values]
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


def test_a_context_that_is_no_data_gets_its_gradient_too() -> None:
    model = AMN(6, 4, 5).double()
    x = some(3, 4, 6, seed=0)
    assert torch.autograd.gradcheck(lambda context: model(context, return_raw=True)[0], (x,))
    (gradient,) = torch.autograd.grad(model(x).square()[:, 0].sum(), x)
    assert bool((gradient.abs().sum(dim=(1, 2)) > 0).all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_keeps_its_type(dtype: torch.dtype) -> None:
    model = AMN(6, 4, 5).to(dtype)
    raw, _ = model(torch.randn(3, 4, 6).to(dtype), return_raw=True)
    raw.float().square().sum().backward()
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {dtype}
    assert all(p.grad is not None for p in model.parameters())
