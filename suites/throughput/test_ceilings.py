"""The machine's own ceilings, and that operations and bytes are counted as mathematics has them."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models import registry
from models.losses import mse
from models.lvm.amn import AMN
from suites.throughput.ceilings import COPY, SQUARE_FLOPS, Ceilings, copy, gemm
from suites.throughput.conftest import FULL
from suites.throughput.interleave import take_turns
from suites.throughput.operations import activations, counted, own_products, traffic
from suites.throughput.results import comparable
from suites.throughput.stopwatch import Place, clock


@pytest.mark.usefixtures("timing", "ceilings")
@pytest.mark.benchmark(timer=clock)
def test_gemm_beside_memory(benchmark: Any, place: Place) -> None:
    turns = take_turns(benchmark, gemm(place.device), {COPY: copy(place.device)}, rounds=20 if FULL else 5)
    comparable(benchmark, turns.over(COPY), calibration=COPY, place=place, gflops=SQUARE_FLOPS / turns.seconds() / 1e9)


# -- facts without a clock ---------------------------------------------------------------------------------------------
def amn_flops(batch: int, context: int, *, as_written: bool = False) -> int:
    """By hand, of AMN's products in a training step: rows x in x out, forward and for each gradient that is needed.

    ``as_written`` in history 1: a key for each context vector, where the model maps the query back to the data's width,
    and the gradient of the mean of the data, which nothing needs.
    """
    wide, narrow, hidden = 768, 256, 512
    key = (batch * context, wide, narrow, 2) if as_written else (batch, narrow, wide, 3)
    baseline = (batch, wide, hidden, 3 if as_written else 2)
    layers = (key, (batch, wide, narrow, 2), baseline, (batch, wide, hidden, 3), (batch, hidden, narrow, 3))
    return sum(2 * prod(layer) for layer in (*layers, (batch, narrow, wide, 3)))


def amn_attention(batch: int, context: int) -> int:
    """Scores and mixture: forward, and the gradient of the factor that is not data."""
    return 2 * batch * context * 4 * 768


@pytest.mark.parametrize("context", [1, 5])
def test_the_operations_of_amn_are_those_counted_by_hand(context: int) -> None:
    model, x, target = AMN(), torch.randn(8, context, 768), torch.randn(8, 768)

    def step() -> None:
        mse(model(x, return_raw=True)[0], target).backward()  # type: ignore[no-untyped-call]

    attention = counted(step) - amn_flops(8, context)
    assert 0 <= attention <= amn_attention(8, context)  # a part of it may run without products
    products, flops = own_products(step)
    assert flops == counted(step) == counted(products)


def test_a_training_sample_costs_the_operations_of_the_seeds_model_less_what_it_saves() -> None:
    assert amn_flops(1, 5, as_written=True) == 11_403_264  # 11.4 MFLOP at 768, 256, 512 (history 18)
    assert amn_flops(1, 5) == 7_864_320


def test_a_fused_lstm_counts_as_its_products() -> None:
    rows, steps, wide, hidden = 4, 5, 48, 32
    lstm, x = nn.LSTM(wide, hidden, batch_first=True), torch.randn(rows, steps, wide, requires_grad=True)
    forward = 2 * rows * steps * 4 * hidden * (wide + hidden)
    assert counted(lambda: lstm(x)) == forward
    assert counted(lambda: lstm(x)[0].sum().backward()) == 3 * forward


@pytest.mark.parametrize("groups", [1, 16])
def test_a_grouped_convolution_counts_by_its_groups(groups: int) -> None:
    conv, x = nn.Conv1d(16, 16, 4, groups=groups), torch.randn(2, 16, 9, requires_grad=True)
    forward = 2 * (2 * 16 * 6) * (16 // groups) * 4
    assert counted(lambda: conv(x)) == forward
    assert counted(lambda: conv(x).sum().backward()) == 3 * forward


def test_fused_attention_on_a_cpu_is_counted() -> None:
    q, k, v = (torch.randn(2, 3, 32, 16, requires_grad=True) for _ in range(3))
    product = 2 * 2 * 3 * 32 * 32 * 16
    assert counted(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)) == 2 * product
    attended = F.scaled_dot_product_attention
    assert counted(lambda: attended(q, k, v, is_causal=True).sum().backward()) == 7 * product  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("kind", registry.model_kinds())
def test_a_step_needs_about_six_operations_a_parameter_and_position(kind: str) -> None:
    """An upper and a lower bound that a kernel which hides its products would leave."""
    model, x = registry.build(kind), torch.randn(4, 5, 768)
    per_sample = counted(lambda: model(x, return_raw=True)[0].sum().backward()) / 4
    size = sum(p.numel() for p in model.parameters())
    assert 3 * size < per_sample < 1.1 * 6 * 5 * size


def test_bytes_of_a_linear_layer_are_those_counted_by_hand() -> None:
    layer, x = nn.Linear(64, 32), torch.randn(8, 64)
    size = 4 * (64 * 32 + 32)
    assert activations(layer, lambda: layer(x)) == 4 * 8 * 64  # the input, which the gradient of the weight needs
    moved = traffic(layer, lambda: layer(x), clipped=True)
    assert (moved.parameters, moved.gradients, moved.optimizer) == (2 * size, 4 * size, 7 * size)
    assert moved.held == 4 * size + 4 * 8 * 64


def test_the_lower_ceiling_binds() -> None:
    roof = Ceilings(gemm=100.0, memory=10.0, cached=50.0, cache=1000)
    assert roof.bound(1000.0, 50.0, 2000) == ("products", 10.0)
    assert roof.bound(1000.0, 200.0, 2000) == ("memory", 20.0)
    assert roof.bound(1000.0, 200.0, 1000) == ("products", 10.0)  # a working set that the cache holds
