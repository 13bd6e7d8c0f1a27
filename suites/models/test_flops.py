"""Operations counted by the trainer, against torch's own counter and against products counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lvmcheck.testing.speed.flops import Counter
from models import registry
from models.runtime.flops import training_flops
from models.runtime.throughput import ThroughputMeter, kernel_rate

WIDTH, CONTEXT = 24, 5


def test_amn_is_counted_as_by_hand() -> None:
    narrow, hidden = 8, 10
    forward = WIDTH * narrow + narrow * WIDTH + 2 * WIDTH * hidden + hidden * narrow + narrow * WIDTH
    attention = 2 * CONTEXT * WIDTH  # the scores and the mixture, or their gradients
    # The context is data: no gradient for the query's input, nor for the baseline's half of the first layer.
    backward = 2 * forward - WIDTH * narrow - WIDTH * hidden
    counted = training_flops("amn", {"input_dim": WIDTH, "d_model": 8, "hidden_dim": 10}, context=CONTEXT, width=WIDTH)
    assert counted == 2 * (forward + attention + backward + attention)


@pytest.mark.parametrize("kind", [kind for kind in registry.model_kinds() if not kind.startswith("lstm")])
def test_the_count_is_that_of_torch(kind: str) -> None:
    """But for the LSTMs, whose fused kernel torch's counter leaves out, and convolutions in groups, which it counts as
    if each channel saw every other.
    """
    torch.manual_seed(0)
    model = registry.build(kind)
    x = torch.zeros(2, CONTEXT, 768)
    totals = []
    for counter in (Counter(), FlopCounterMode(display=False)):
        with counter:
            model(x, return_raw=True)[0].sum().backward()
        totals.append(counter.total if isinstance(counter, Counter) else counter.get_total_flops())
    if kind == "mamba2":
        assert 0 < totals[0] < totals[1]
    else:
        assert totals[0] >= totals[1] > 0
        assert totals[0] == totals[1] or kind == "transformer"  # its fused attention on a CPU is left out too


def test_a_convolution_in_groups_counts_its_own_channels() -> None:
    layer, x = torch.nn.Conv1d(6, 6, 3, groups=6, bias=False), torch.randn(2, 6, 10, requires_grad=True)
    with Counter() as counter:
        layer(x).sum().backward()
    assert counter.total == 3 * 2 * 2 * 8 * 6 * 3  # forward and two gradients: 2 rows, 8 places, 6 channels, 3 taps


def test_a_fused_lstm_counts_as_its_products() -> None:
    lstm = torch.nn.LSTM(6, 4, batch_first=True)
    with Counter() as counter:
        lstm(torch.randn(3, 5, 6))
    assert counter.total == 2 * 3 * 5 * (4 * 4 * 6 + 4 * 4 * 4)


def test_counting_draws_no_random_number() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    training_flops("gru", {}, context=CONTEXT, width=768)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_pace_of_an_epoch_stands_beside_the_machine() -> None:
    pace = ThroughputMeter(torch.device("cpu"), 1e6)
    pace.begin()
    speed, found = pace.end(1000)
    assert speed > 0
    assert set(found) == {"samples_per_second", "kernel_before", "kernel_after", "flops_per_sample"}
    assert all(value > 0 for value in found.values())
    assert found["flops_per_sample"] == 1e6
    assert kernel_rate(torch.device("cpu")) > 0
