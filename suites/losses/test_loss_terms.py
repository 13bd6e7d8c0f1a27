"""Loss terms against slow twins in float64, and what each sees and does not see; their laws: test_laws.py."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.errors import InputError
from models.losses import (
    LOSSES,
    NEEDS_TWO_ROWS,
    Batch,
    compute_terms,
    info_nce,
    moment,
    mse,
    symmetric_cross_entropy,
    unit,
    variance,
    weighted_total,
)
from models.terms import TERMS
from suites.losses.slow_twins import draw, slow

torch.set_num_threads(1)
FEW = settings(max_examples=20, deadline=None)
rows = st.integers(2, 9)
widths = st.integers(1, 12)
seeds = st.integers(0, 10_000)


@given(term=st.sampled_from(TERMS), batch=rows, width=widths, seed=seeds, tau=st.floats(0.05, 2.0))
@FEW
def test_agrees_with_the_slow_twin(term: str, batch: int, width: int, seed: int, tau: float) -> None:
    raw, target = draw(batch, width, seed)
    value = LOSSES[term](Batch(raw, unit(raw), target, tau))
    assert float(value) == pytest.approx(slow(term, raw.tolist(), target.tolist(), tau), rel=1e-9, abs=1e-12)


@given(batch=rows, seed=seeds, constant=st.floats(-50, 50))
@FEW
def test_cross_entropy_ignores_a_constant_in_all_logits(batch: int, seed: int, constant: float) -> None:
    logits = torch.randn(batch, batch, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(symmetric_cross_entropy(logits + constant), symmetric_cross_entropy(logits))
    shifted = logits.clone()
    shifted[0] += constant
    diagonal = torch.arange(batch)
    one, other = (torch.nn.functional.cross_entropy(table, diagonal) for table in (logits, shifted))
    torch.testing.assert_close(one, other)


def test_info_nce_cannot_see_the_direction_all_targets_share() -> None:
    """The mechanism of attempt 2: the common direction can be taken out of the predictions at no cost, MSE notices."""
    generator = torch.Generator().manual_seed(0)
    common = torch.zeros(16, dtype=torch.float64)
    common[0] = 1.0
    free = torch.randn(8, 16, generator=generator, dtype=torch.float64)
    free[:, 0] = 0.0
    target = unit(unit(free) + common)
    full = target @ target.T
    without = (target - target[:, :1] * common) @ target.T  # logits of predictions without the shared component
    torch.testing.assert_close(symmetric_cross_entropy(full), symmetric_cross_entropy(without))
    assert mse(target, target) == 0
    assert mse(target - target[:, :1] * common, target) > 0.01


@given(batch=rows, width=st.integers(2, 12), seed=seeds)
@FEW
def test_mse_of_unit_vectors_is_the_cosine(batch: int, width: int, seed: int) -> None:
    raw, target = draw(batch, width, seed)
    cosine = float((unit(raw) * target).sum(dim=1).mean())
    assert float(mse(unit(raw), target)) == pytest.approx(2 * (1 - cosine) / width, abs=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 32, 64])
def test_info_nce_at_chance_is_two_log_of_the_batch(batch: int) -> None:
    same = unit(torch.ones(batch, 8, dtype=torch.float64))
    assert float(info_nce(same, same)) == pytest.approx(2 * math.log(batch), abs=1e-12)


def test_info_nce_is_not_negative_and_near_zero_when_solved() -> None:
    axes = torch.eye(8, dtype=torch.float64)
    assert 0 <= float(info_nce(axes, axes, tau=0.07)) < 1e-4
    assert float(info_nce(axes.roll(1, 0), axes, tau=0.07)) > 20


@given(batch=st.integers(2, 64), width=st.integers(2, 300), seed=seeds)
@FEW
def test_the_variance_hinge_cannot_be_satisfied(batch: int, width: int, seed: int) -> None:
    raw, _ = draw(batch, width, seed)
    value = float(variance(unit(raw)))
    assert 1 - math.sqrt(batch / ((batch - 1) * width)) - 1e-12 <= value <= 1


def test_the_variance_hinge_at_the_recorded_width() -> None:
    raw, _ = draw(512, 768, 0)
    assert 1 - 1 / math.sqrt(768) <= float(variance(unit(raw))) < 0.97
    collapsed = unit(torch.ones(32, 768, dtype=torch.float64))
    assert float(variance(collapsed)) == pytest.approx(1.0)


@given(batch=rows, width=widths, seed=seeds)
@FEW
def test_moment_is_zero_only_for_equal_moments(batch: int, width: int, seed: int) -> None:
    raw, target = draw(batch, width, seed)
    assert float(moment(target, target)) == 0
    assert float(moment(target.roll(1, 0), target)) == pytest.approx(0, abs=1e-25)
    assert float(moment(raw + 1, target)) > 0


@pytest.mark.parametrize("term", NEEDS_TWO_ROWS)
def test_one_row_has_no_spread(term: str) -> None:
    raw, target = draw(1, 4, 0)
    with pytest.raises(InputError, match=f"loss {term}: needs a batch of at least 2 rows, got 1"):
        LOSSES[term](Batch(raw, unit(raw), target))


@pytest.mark.parametrize("term", sorted(set(TERMS) - set(NEEDS_TWO_ROWS)))
def test_a_batch_of_one_is_defined_otherwise(term: str) -> None:
    raw, target = draw(1, 4, 0)
    assert LOSSES[term](Batch(raw, unit(raw), target)).isfinite()


@given(scale=st.floats(1e-6, 1e6), seed=seeds)
@FEW
def test_info_nce_and_variance_see_only_directions(scale: float, seed: int) -> None:
    raw, target = draw(5, 7, seed)
    torch.testing.assert_close(info_nce(unit(raw * scale), target), info_nce(unit(raw), target))
    torch.testing.assert_close(variance(unit(raw * scale)), variance(unit(raw)))


def test_nan_comes_through() -> None:
    raw, target = draw(4, 3, 0)
    raw[1, 1] = math.nan
    for term in TERMS:
        assert LOSSES[term](Batch(raw, unit(raw), target)).isnan(), term


def test_a_term_of_weight_zero_is_not_computed_and_absent() -> None:
    raw, target = draw(1, 4, 0)  # moment would refuse one row, had it been computed
    terms = compute_terms({"mse": 1.0, "moment": 0.0, "info_nce": 0.0}, Batch(raw, unit(raw), target))
    assert list(terms) == ["mse"]


@given(weights=st.dictionaries(st.sampled_from(TERMS), st.floats(0.001, 10), min_size=1), seed=seeds)
@FEW
def test_the_ledger_sums_to_the_total(weights: dict[str, float], seed: int) -> None:
    raw, target = draw(5, 6, seed)
    terms = compute_terms(weights, Batch(raw, unit(raw), target))
    ledger = math.fsum(weight * float(value) for weight, value in terms.values())
    assert float(weighted_total(terms)) == pytest.approx(ledger, rel=1e-12)
    assert {name: weight for name, (weight, _) in terms.items()} == weights


def test_mistakes_in_the_weights_are_named() -> None:
    raw, target = draw(2, 4, 0)
    with pytest.raises(InputError, match=r"run\.loss\.inf_nce: no such loss term\. Did you mean 'info_nce'\?"):
        compute_terms({"inf_nce": 1.0}, Batch(raw, unit(raw), target))
    with pytest.raises(InputError, match="expected at least one term"):
        weighted_total({})
