"""Loss terms against slow twins at every scale and on every device here; what holds of any loss: test_laws.py."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.losses import LOSSES, NEEDS_TWO_ROWS, Batch, compute_terms, info_nce, mse, unit, variance, weighted_total
from models.terms import TERMS
from suites.losses.slow_twins import draw, slow

torch.set_num_threads(1)
FEW = settings(max_examples=20, deadline=None)
PRECISION = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.05}
"""Relative error that each type may have, on batches of a few rows."""
DIRECTIONS = ("info_nce", "variance")
"""Terms of predictions at unit length."""
SCALES = tuple(10.0**power for power in range(-20, 21, 5))
seeds = st.integers(0, 10_000)


def gradient(term: str, raw: Tensor, target: Tensor, tau: float = 0.5) -> tuple[Tensor, Tensor]:
    """Value, and gradient at the raw predictions."""
    leaf = raw.detach().clone().requires_grad_(True)
    value = LOSSES[term](Batch(leaf, unit(leaf), target, tau))
    return value.detach(), torch.autograd.grad(value, leaf)[0]


# -- scale -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("scale", SCALES)
def test_float64_is_right_at_every_scale(term: str, scale: float) -> None:
    """Lengths below 1e-12 are not divided out (EPSILON), so there the twin is asked about those of :func:`unit`."""
    raw, target = draw(5, 6, 3, scale)
    value, slope = gradient(term, raw, target)
    seen = unit(raw) if term in DIRECTIONS else raw
    if term in DIRECTIONS and scale < 1e-10:
        assert value.isfinite()
    else:
        assert float(value) == pytest.approx(slow(term, seen.tolist(), target.tolist(), 0.5), rel=1e-9)
    assert slope.isfinite().all()
    assert float(slope.abs().max()) > 0


@given(scale=st.floats(1e-9, 1e17), seed=seeds)
@FEW
def test_only_the_direction_counts_in_float32(scale: float, seed: int) -> None:
    raw, target = (x.float() for x in draw(5, 7, seed))
    torch.testing.assert_close(info_nce(unit(raw * scale), target), info_nce(unit(raw), target), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(variance(unit(raw * scale)), variance(unit(raw)), rtol=1e-4, atol=1e-5)


def test_a_length_that_overflows_is_a_zero_row_and_no_direction() -> None:
    row = torch.full((1, 8), 1e19)
    assert unit(row).tolist() == [[0.0] * 8]
    assert float(unit(row.double()).norm()) == pytest.approx(1.0)


@pytest.mark.parametrize("tau", [1e-3, 0.07, 1.0, 1e3])
def test_the_temperature_may_be_extreme(tau: float) -> None:
    """At 0.001 logits reach 1,000, whose exponential has no float32."""
    raw, target = draw(6, 8, 1)
    value, slope = gradient("info_nce", raw.float(), target.float(), tau)
    assert float(value) == pytest.approx(slow("info_nce", raw.tolist(), target.tolist(), tau), rel=1e-4)
    assert slope.isfinite().all()


# -- rows that are zero or there twice ---------------------------------------------------------------------------------
@given(batch=st.integers(1, 6), copies=st.integers(2, 4), seed=seeds)
@FEW
def test_a_batch_repeated_costs_info_nce_two_log_of_the_copies(batch: int, copies: int, seed: int) -> None:
    """Each copy is a negative that cannot be told from the target: duplicates in the data are a floor of the loss."""
    raw, target = draw(batch, 6, seed)
    again, targets = raw.repeat(copies, 1), target.repeat(copies, 1)
    expected = float(info_nce(unit(raw), target)) + 2 * math.log(copies)
    assert float(info_nce(unit(again), targets)) == pytest.approx(expected, rel=1e-9)
    assert float(mse(again, targets)) == pytest.approx(float(mse(raw, target)), rel=1e-12)


@pytest.mark.parametrize("term", TERMS)
def test_rows_that_are_all_the_same(term: str) -> None:
    """A collapsed model: the standard deviation is 0, where its derivative does not exist."""
    same, target = torch.ones(6, 8), draw(6, 8, 0)[1].float()
    value, slope = gradient(term, same, target)
    assert value.isfinite()
    assert slope.isfinite().all()
    if term == "variance":
        assert float(value) == 1.0


@pytest.mark.parametrize("term", sorted(set(TERMS) - set(NEEDS_TWO_ROWS)))
@pytest.mark.parametrize("dtype", list(PRECISION), ids=str)
def test_a_batch_of_one_agrees_with_the_slow_twin(term: str, dtype: torch.dtype) -> None:
    raw, target = (x.to(dtype) for x in draw(1, 6, 4))
    value, slope = gradient(term, raw, target)
    assert float(value) == pytest.approx(slow(term, raw.tolist(), target.tolist(), 0.5), rel=PRECISION[dtype])
    assert slope.isfinite().all()
    assert (term == "info_nce") == (float(slope.abs().max()) == 0.0), "no negatives: nothing to learn from"


# -- the total ---------------------------------------------------------------------------------------------------------
@given(
    weights=st.dictionaries(st.sampled_from(TERMS), st.floats(0.0, 1e3), min_size=1).filter(lambda w: any(w.values())),
    seed=seeds,
)
@FEW
def test_the_gradient_of_the_total_is_the_weighted_sum(weights: dict[str, float], seed: int) -> None:
    raw, target = draw(5, 6, seed)
    leaf = raw.clone().requires_grad_(True)
    total = weighted_total(compute_terms(weights, Batch(leaf, unit(leaf), target, 0.5)))
    got = torch.autograd.grad(total, leaf)[0]
    parts = [weight * gradient(term, raw, target)[1] for term, weight in weights.items()]
    torch.testing.assert_close(got, torch.stack(parts).sum(dim=0), rtol=1e-9, atol=1e-9)


# -- devices -----------------------------------------------------------------------------------------------------------
HERE = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


@pytest.mark.parametrize("device", HERE)
@pytest.mark.parametrize("term", TERMS)
def test_another_device_agrees_with_the_cpu(term: str, device: str) -> None:
    if not HERE[device]:
        pytest.skip(f"torch sees no {device} device here")
    raw, target = (x.float() for x in draw(32, 64, 5))
    one, other = gradient(term, raw, target), gradient(term, raw.to(device), target.to(device))
    for there, here in zip(other, one, strict=True):
        assert there.device.type == device
        torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-6)
