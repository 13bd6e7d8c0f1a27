"""Cognate's linear maps of few rows: the numbers of torch's own at every shape, with and without a gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from models.cognate.linear import BLOCK, MOST_ROWS, Linear, linear

torch.set_num_threads(1)


@pytest.mark.parametrize("outputs", [1, BLOCK, 2 * BLOCK, 5 * BLOCK, 2 * BLOCK + 1, 4 * BLOCK - 1])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (3, 1), (1, MOST_ROWS), (2, 2), (MOST_ROWS + 1,), (2, 9), (0, 1)])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_a_linear_map_is_torchs(outputs: int, shape: tuple[int, ...], biased: bool, grad: bool) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(*shape, 24, dtype=torch.float64), torch.randn(outputs, 24, dtype=torch.float64)
    bias = torch.randn(outputs, dtype=torch.float64) if biased else None
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(linear(x, weight, bias), F.linear(x, weight, bias), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 3, MOST_ROWS])
def test_columns_need_not_be_contiguous(rows: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(24, rows).t(), torch.randn(3 * BLOCK, 48)[:, ::2]
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight), F.linear(x, weight), rtol=0.0, atol=1e-4)


def test_a_module_has_torchs_weights_and_gradients() -> None:
    torch.manual_seed(0)
    module, x = Linear(24, 2 * BLOCK), torch.randn(1, 1, 24)
    plain = torch.nn.Linear(24, 2 * BLOCK)
    plain.load_state_dict(module.state_dict())
    for each in (module, plain):
        each(x).square().sum().backward()
    for one, other in zip(module.parameters(), plain.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad)
    with torch.inference_mode():
        torch.testing.assert_close(module(x), plain(x), rtol=0.0, atol=1e-5)
