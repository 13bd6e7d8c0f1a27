"""AMN's forward and backward pass derived by hand, against autograd's on the plain formulas."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.fast.amn_backward import AMNManualBackward
from models.losses import mse, mse_and_slope
from models.lvm.amn import AMN
from models.lvm.parts.vector_model import VectorModel
from suites.models.family import FAMILY, contexts, small


class Plain(AMN):
    """AMN by its formulas alone."""

    def raw(self, x: Tensor) -> Tensor:
        return self._mixed(x)[0]


def twins(width: int, d_model: int, hidden: int, seed: int) -> tuple[AMN, AMN]:
    """The same weights in both, with gains and shifts that are not those of a fresh LayerNorm."""
    torch.manual_seed(seed)
    model = AMN(width, d_model, hidden).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    plain = Plain(width, d_model, hidden).double()
    plain.load_state_dict(model.state_dict())
    return model, plain


def gradients(model: AMN, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


sizes = st.integers(1, 7)


@settings(max_examples=40, deadline=None)
@given(rows=sizes, steps=sizes, width=sizes, d_model=sizes, hidden=sizes, seed=st.integers(0, 1000))
def test_values_and_gradients_are_those_of_autograd(
    rows: int, steps: int, width: int, d_model: int, hidden: int, seed: int
) -> None:
    model, plain = twins(width, d_model, hidden, seed)
    x, along = contexts(rows, width, seed, steps).double(), contexts(rows, width, seed + 1, 1)[:, 0].double()
    raw, wanted = model.raw(x), plain.raw(x)
    torch.testing.assert_close(raw, wanted, rtol=1e-10, atol=1e-12)
    got = gradients(model, (raw * along).sum())
    torch.testing.assert_close(got, gradients(plain, (wanted * along).sum()), rtol=1e-7, atol=1e-9)


def test_the_formulas_are_compared_with_a_pass_of_their_own() -> None:
    model, plain = twins(4, 3, 5, seed=0)
    x = contexts(2, 4, steps=3).double()
    names = [type(each.raw(x).grad_fn).__name__ for each in (model, plain)]
    assert names[0] == "_RawBackward"
    assert names[1] != names[0]


def steps_of(
    model: AMN, grad_buffers: Callable[[], list[Tensor]], x: Tensor, target: Tensor
) -> tuple[AMNManualBackward, Tensor, Tensor]:
    manual = model.manual_backward(grad_buffers)
    assert manual is not None
    raw = manual.forward(x)
    value, slope = mse_and_slope(raw, target)
    manual.backward(slope)
    return manual, raw, value


@pytest.mark.parametrize("rows", [1, 32])
def test_without_autograd_the_same_gradients_stand_where_they_were_asked_for(rows: int) -> None:
    torch.manual_seed(0)
    model = AMN(24, 8, 16)
    other = copy.deepcopy(model)
    x, target = contexts(rows, 24), contexts(rows, 24, seed=1)[:, 0]
    grad_buffers = [torch.full_like(p, 7.0) for p in model.parameters()]
    manual, raw, value = steps_of(model, lambda: grad_buffers, x, target)
    wanted = other.raw(x)
    loss = mse(wanted, target)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(raw, wanted.detach())
    torch.testing.assert_close(value, loss.detach())
    for p, q, buffer in zip(model.parameters(), other.parameters(), grad_buffers, strict=True):
        assert p.grad is buffer
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-7)
    with pytest.raises(RuntimeError, match=r"without a forward\(\) before it"):
        manual.backward(raw)


def test_a_second_pass_forgets_the_first() -> None:
    torch.manual_seed(0)
    model = AMN(24, 8, 16)
    grad_buffers = [torch.zeros_like(p) for p in model.parameters()]
    manual, _, _ = steps_of(model, lambda: grad_buffers, contexts(4, 24), contexts(4, 24, seed=1)[:, 0])
    x, target = contexts(4, 24, seed=2), contexts(4, 24, seed=3)[:, 0]
    manual.backward(mse_and_slope(manual.forward(x), target)[1])
    again, fresh = [buffer.clone() for buffer in grad_buffers], [torch.zeros_like(buffer) for buffer in grad_buffers]
    steps_of(model, lambda: fresh, x, target)
    torch.testing.assert_close(again, fresh, rtol=0, atol=0)


def test_what_the_passes_do_not_know_is_left_to_autograd() -> None:
    frozen, double = AMN(6, 4, 5), AMN(6, 4, 5).double()
    frozen.query.bias.requires_grad_(False)
    for model in (frozen, double, Plain(6, 4, 5)):
        grad_buffers = [torch.zeros_like(p) for p in model.parameters()]
        assert model.manual_backward(lambda given=grad_buffers: given) is None


@pytest.mark.parametrize(("kind", "variant"), FAMILY)
def test_passes_of_any_model_are_its_gradients(kind: str, variant: str) -> None:
    model = small(kind, variant)
    grad_buffers = [torch.zeros_like(p) for p in model.parameters()]
    manual = cast(VectorModel, model).manual_backward(lambda: grad_buffers)
    assert (manual is not None) == (kind == "amn")
    if manual is None:
        return
    x, target = contexts(5), contexts(5, seed=1)[:, 0]
    raw, _ = model(x, return_raw=True)
    wanted = torch.autograd.grad(mse(raw, target), list(model.parameters()))
    manual.backward(mse_and_slope(manual.forward(x), target)[1])
    torch.testing.assert_close([p.grad for p in model.parameters()], list(wanted), rtol=1e-4, atol=1e-7)


def test_a_context_that_is_no_data_gets_its_gradient_too() -> None:
    model = AMN(6, 4, 5).double()
    x = contexts(3, 6, steps=4).double().requires_grad_()
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
