"""Metrics of vector predictions: one definition, averaged over samples."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.losses import unit
from models.runtime.metrics import SampleMean, cosine, squared_error


def pair(batch: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, width, generator=generator), torch.randn(batch, width, generator=generator)


@given(batch=st.integers(1, 8), width=st.integers(1, 20), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_cosine_agrees_with_its_definition(batch: int, width: int, seed: int) -> None:
    one, other = pair(batch, width, seed)
    for value, a, b in zip(cosine(one, other).tolist(), one.tolist(), other.tolist(), strict=True):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        assert value == pytest.approx(dot / (math.hypot(*a) * math.hypot(*b)), abs=1e-5)


def test_cosine_at_its_ends() -> None:
    one, _ = pair(4, 6, 0)
    torch.testing.assert_close(cosine(one, 3 * one), torch.ones(4))
    torch.testing.assert_close(cosine(one, -one), -torch.ones(4))
    assert cosine(torch.zeros(2, 6), one[:2]).tolist() == [0.0, 0.0]
    assert cosine(one * math.nan, one).isnan().all()


@given(seed=st.integers(0, 999), width=st.integers(2, 40))
@settings(max_examples=20, deadline=None)
def test_squared_error_of_unit_vectors_is_the_cosine(seed: int, width: int) -> None:
    one, other = (unit(x.double()) for x in pair(5, width, seed))
    torch.testing.assert_close(squared_error(one, other), 2 * (1 - cosine(one, other)) / width)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_the_mean_does_not_depend_on_the_batches(sizes: list[int]) -> None:
    values = torch.arange(sum(sizes), dtype=torch.float32).square()
    mean = SampleMean(("a", "b"))
    for part in torch.split(values, sizes):
        mean.add([part.mean(), -part.mean()], len(part))
    expected = float(values.double().mean())
    assert mean.means() == pytest.approx({"a": expected, "b": -expected}, rel=1e-6)


def test_nothing_added_is_nothing_measured() -> None:
    assert SampleMean(("a",)).means() == {}
