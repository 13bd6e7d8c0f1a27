"""A window's summary against a slow twin, with floats and with tensors."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.run.events import Term, Window
from lvmcheck.run.window import StepRow, floats, summarise

torch.set_num_threads(1)
finite = st.floats(-1e300, 1e300, allow_nan=False)
weights = st.floats(-10, 10)
rows_of = st.lists(st.tuples(finite, finite, finite, weights, st.integers(0, 64)), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(rows_of, st.integers(0, 1000))
def test_summary_is_the_slow_one(raw: list[tuple[float, float, float, float, int]], before: int) -> None:
    rows = [StepRow(loss, {"a": (w, term)}, norm, 1e-3 * i, n) for i, (loss, term, norm, w, n) in enumerate(raw)]
    window = summarise(rows, epoch=3, last_step=before + len(rows), seconds=1.0, t=2.0)
    losses = [row[0] for row in raw]
    exact = float(sum(map(Fraction, losses)) / len(losses))
    assert math.isclose(window.loss_mean, exact, rel_tol=1e-12, abs_tol=1e-12 * max(map(abs, losses)))
    assert (window.loss_min, window.loss_max) == (min(losses), max(losses))
    assert (window.first_step, window.last_step) == (before + 1, before + len(rows))
    assert window.samples == sum(row[4] for row in raw)
    assert window.grad_norm_max == max(row[2] for row in raw)
    assert window.lr == 1e-3 * (len(rows) - 1)
    assert window.non_finite is None
    worst = 0.0
    for loss, term, _, weight, _ in raw:
        scale = max(abs(loss), abs(weight * term))
        worst = max(worst, abs(loss - weight * term) / scale if scale else 0.0)
    assert window.ledger_error is not None
    assert math.isclose(window.ledger_error, worst, rel_tol=1e-9, abs_tol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite, min_size=1, max_size=8), st.data(), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_the_first_number_that_is_not_finite_is_named(losses: list[float], data: st.DataObject, bad: float) -> None:
    at = data.draw(st.integers(0, len(losses) - 1))
    losses[at] = bad
    if data.draw(st.booleans()):
        losses.append(math.nan)
    rows = [StepRow(loss, None, 1.0, None, 0) for loss in losses]
    window = summarise(rows, epoch=1, last_step=100, seconds=0.0, t=0.0)
    assert window.non_finite == {"step": 100 - len(losses) + 1 + at, "what": "loss", "value": str(bad)}
    for value in (window.loss_mean, window.loss_min, window.loss_max):
        assert not math.isfinite(value), "a summary must not hide it"


def test_all_that_a_window_says() -> None:
    """Of two steps, each of which leaves something out."""
    rows = [
        StepRow(2.0, {"a": (1.0, 0.5), "b": (0.5, 2.0)}, None, 0.1, 3, {"accuracy": 0.5}),
        StepRow(4.0, {"a": (3.0, 1.0), "b": (0.5, 2.0)}, 8.0, None, 5, {"accuracy": 1.0, "top5": 0.25}),
    ]
    assert summarise(rows, epoch=3, last_step=12, seconds=1.5, t=9.0) == Window(
        t=9.0,
        epoch=3,
        first_step=11,
        last_step=12,
        samples=8,
        seconds=1.5,
        loss_mean=3.0,
        loss_min=2.0,
        loss_max=4.0,
        terms={"a": Term(weight=2.0, mean=0.75), "b": Term(weight=0.5, mean=2.0)},
        ledger_error=0.25,  # 0.5 + 1 of 2
        grad_norm_mean=8.0,
        grad_norm_max=8.0,
        lr=0.1,
        non_finite=None,
        metrics={"accuracy": 0.75, "top5": 0.25},
    )


@pytest.mark.parametrize(
    ("loss", "weight", "value", "error"),
    [(0.0, 2.0, 0.0, 0.0), (0.0, 2.0, 0.5, 1.0), (1.0, 1.0, -1.0, 2.0), (math.nan, 1.0, 1.0, math.nan)],
)
def test_how_far_a_loss_is_from_its_terms(loss: float, weight: float, value: float, error: float) -> None:
    rows = [StepRow(one, {"a": (weight, value)}, None, None, 0) for one in (loss, weight * value)]
    for listed in (rows, rows[::-1]):
        found = summarise(listed, epoch=1, last_step=2, seconds=0.0, t=0.0).ledger_error
        assert found == pytest.approx(error, nan_ok=True)


def test_a_nan_in_a_term_or_a_norm_is_named() -> None:
    rows = [StepRow(1.0, {"mse": (1.0, 1.0)}, 1.0, None, 0), StepRow(1.0, {"mse": (1.0, math.nan)}, math.inf, None, 0)]
    window = summarise(rows, epoch=1, last_step=2, seconds=0.0, t=0.0)
    assert window.non_finite is not None
    assert window.non_finite["step"] == 2
    assert window.ledger_error is not None
    assert math.isnan(window.ledger_error)
    assert window.grad_norm_max == math.inf


def test_the_first_step_is_named_whatever_was_not_finite() -> None:
    cases: list[tuple[list[tuple[float, float | None]], dict[str, object] | None]] = [
        ([(1.0, 1.0), (math.nan, 1.0), (1.0, math.inf)], {"step": 2, "what": "loss", "value": "nan"}),
        ([(1.0, 1.0), (1.0, 1.0), (1.0, math.inf)], {"step": 3, "what": "grad_norm", "value": "inf"}),
        ([(1.0, None), (1.0, 1.0), (1.0, math.inf)], None),  # of which step is not known
    ]
    for numbers, named in cases:
        rows = [StepRow(loss, None, norm, None, 0) for loss, norm in numbers]
        assert summarise(rows, epoch=1, last_step=3, seconds=0.0, t=0.0).non_finite == named


def test_huge_losses_have_a_mean() -> None:
    window = summarise([StepRow(1.7e308, None, None, None, 0)] * 3, epoch=1, last_step=3, seconds=0.0, t=0.0)
    assert math.isclose(window.loss_mean, 1.7e308)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors_are_read_as_they_are(dtype: torch.dtype) -> None:
    values = [torch.tensor(x, dtype=dtype, requires_grad=True) for x in (0.1, -2.5, 3e-4)]
    assert floats(values) == [value.item() for value in values]
    assert floats(values[:1]) == [values[0].item()], "no warning about requires_grad"
    mixed = [values[0], torch.tensor(1.0, dtype=torch.float16), 2]
    assert floats(mixed) == [values[0].item(), 1.0, 2.0]


def test_tensor_rows_and_float_rows_agree() -> None:
    raw = [(0.5 + i, 0.25 + i, 1.0 / (i + 1)) for i in range(5)]
    as_floats = [StepRow(a, {"m": (2.0, b)}, c, 1e-3, 4) for a, b, c in raw]
    made = [[torch.tensor(x, dtype=torch.float64) for x in row] for row in raw]
    as_tensors = [StepRow(a, {"m": (2.0, b)}, c, 1e-3, 4) for a, b, c in made]
    kinds = (summarise(rows, epoch=1, last_step=5, seconds=1.0, t=1.0) for rows in (as_floats, as_tensors))
    assert len({str(window) for window in kinds}) == 1


def test_no_terms_means_no_ledger() -> None:
    window = summarise([StepRow(1.0, None, None, None, 0)], epoch=1, last_step=1, seconds=0.0, t=0.0)
    assert window.ledger_error is None
    assert window.grad_norm_mean is None
    assert window.terms == {}
