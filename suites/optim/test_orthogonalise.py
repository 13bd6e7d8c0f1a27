"""The Newton-Schulz iteration: what it does to singular values, to every shape, and beside torch's own Muon."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.optim.muon import COEFFICIENTS, STEPS, muon_step, orthogonalise

torch.set_num_threads(1)
SHAPES = [(1, 1), (1, 9), (9, 1), (8, 8), (5, 12), (12, 5), (32, 96)]


def drawn(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def polynomial(singular: Tensor) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        singular = a * singular + b * singular**3 + c * singular**5
    return singular


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=st.integers(1, 24), columns=st.integers(1, 24), scale=st.floats(1e-5, 1e5), seed=st.integers(0, 999))
def test_it_maps_singular_values_and_keeps_singular_vectors(rows: int, columns: int, scale: float, seed: int) -> None:
    matrix = scale * drawn((rows, columns), seed)
    u, singular, v = torch.linalg.svd(matrix, full_matrices=False)
    wanted = u @ torch.diag(polynomial(singular / singular.norm())) @ v
    torch.testing.assert_close(orthogonalise(matrix), wanted, rtol=0, atol=1e-9)
    torch.testing.assert_close(orthogonalise(matrix.float()).double(), wanted, rtol=0, atol=2e-3)


def test_the_polynomial_ends_where_its_docstring_says() -> None:
    ends = polynomial(torch.linspace(0.00151, 1.0, 100_001, dtype=torch.float64))
    assert 0.68 < float(ends.min()) < 0.69
    assert 1.20 < float(ends.max()) < 1.21
    tiny = torch.tensor(1e-9, dtype=torch.float64)
    assert float(polynomial(tiny) / tiny) == pytest.approx(484.9, abs=0.1)


@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (32, 128)])
def test_a_gaussian_matrix_becomes_orthogonal_within_a_third(shape: tuple[int, int]) -> None:
    singular = torch.linalg.svdvals(orthogonalise(drawn(shape, 3, torch.float32)))
    assert float(singular.min()) > 0.67
    assert float(singular.max()) < 1.22


@pytest.mark.parametrize("shape", SHAPES)
def test_transposing_before_or_after_is_the_same_and_so_is_a_batch(shape: tuple[int, int]) -> None:
    batch = drawn((3, *shape), 1, torch.float32)
    together = orthogonalise(batch)
    torch.testing.assert_close(orthogonalise(batch.mT), together.mT, rtol=0, atol=1e-5)
    for alone, stacked in zip(batch, together, strict=True):
        torch.testing.assert_close(orthogonalise(alone), stacked, rtol=0, atol=1e-5)


def test_zero_stays_zero_and_nan_spoils_its_own_matrix_alone() -> None:
    batch = drawn((3, 4, 6), 2)
    batch[0], batch[1, 2, 3] = 0.0, float("nan")
    out = orthogonalise(batch)
    assert not out[0].any()
    assert out[1].isnan().all()
    assert out[2].isfinite().all()
    assert orthogonalise(torch.full((2, 2), float("inf"))).isnan().all()


@pytest.mark.parametrize("shape", [(48, 48), (24, 72), (72, 24)])
def test_steps_agree_with_torch_muon_as_far_as_its_bfloat16_goes(shape: tuple[int, int]) -> None:
    begin = drawn(shape, 5, torch.float32) * 0.1
    ours, theirs, momentum = begin.clone(), torch.nn.Parameter(begin.clone()), torch.zeros(shape)
    optimizer = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        theirs.grad = drawn(shape, 10 + step, torch.float32)
        optimizer.step()  # type: ignore[no-untyped-call]
        muon_step([ours], [theirs.grad], [momentum], lr=0.01, weight_decay=0.1, momentum=0.95)
    torch.testing.assert_close(momentum, optimizer.state[theirs]["momentum_buffer"], rtol=1e-6, atol=1e-7)
    moved, expected = ours - begin, theirs.detach() - begin
    assert float((moved - expected).norm() / expected.norm()) < 0.03
    assert float((moved - expected).norm()) > 0  # theirs is rounded to bfloat16, or this compares a thing with itself
