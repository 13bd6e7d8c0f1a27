"""The update probe: what it measures is what happened, and it tells each of the original project's faults from a sound
step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from lvmcheck.errors import InputError
from lvmcheck.testing.evaluations import coverage_counts
from models.optim.config import parse
from models.optim.factory import build
from models.optim.grad_ema import GradEMA, watched
from models.optim.group_schedule import GroupLRScheduler
from models.optim.mugrokfast import MuGrokfast
from models.optim.probe import measuring, orthogonality_error
from suites.known_failures.cognate_optimizers import LearningRatesNotWired, ReversedGrokfast, WrongOrderNewtonSchulz
from suites.optim.slow_twin import SmallNet

torch.set_num_threads(1)


class Layers(nn.Module):
    """A net with square hidden matrices, and tokens that it has to learn to follow."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(32, 24)
        self.layers = nn.ModuleList(nn.Linear(24, 24) for _ in range(3))

    def learn(self, step: int) -> None:
        """The gradient of a batch."""
        self.zero_grad()
        tokens = torch.randint(0, 32, (64,), generator=torch.Generator().manual_seed(step))
        hidden = self.table(tokens)
        for layer in self.layers:
            hidden = hidden + torch.tanh(layer(hidden))
        logits = hidden @ self.table.weight.T
        loss = torch.nn.functional.cross_entropy(logits, (3 * tokens + 1) % 32)
        loss.backward()  # type: ignore[no-untyped-call]


def trained(kind: type[MuGrokfast], steps: int = 60, every: int = 10) -> list[dict[str, float]]:
    """The probe's values every few steps of a cosine run."""
    net = Layers()
    optimizer = build(net, parse({"muon_lr": 1e-2, "lr": 1e-2, "grokfast_alpha": 0.9}), kind)
    slow = GradEMA(optimizer, alpha=0.9)
    rates = GroupLRScheduler(optimizer, "cosine", total=steps + 1, warmup=5)
    rows = []
    for step in range(steps):
        rates.before_step(step)
        net.learn(step)
        if (step + 1) % every:
            optimizer.step()
            continue
        with measuring(optimizer, slow) as values:
            optimizer.step()
        rows.append(values | rates.probe(step))
    return rows


def ratios(rows: list[dict[str, float]], group: str) -> list[float]:
    return [row[f"{group}/update_rms"] / row[f"{group}/planned_lr"] for row in rows]


def test_a_sound_run_follows_its_schedule_orthogonalises_and_passes_the_slow_part() -> None:
    rows = trained(MuGrokfast)
    assert max(ratios(rows, "hidden")) / min(ratios(rows, "hidden")) < 1.2
    for row in rows:
        assert row["hidden/orthogonality_error"] < 0.5
        assert row["hidden/orthogonality_error"] < 0.5 * row["hidden/gradient_orthogonality_error"]
        assert row["filter/slow_gain"] == pytest.approx(0.3, abs=1e-3)
        assert row["filter/raw_gain"] == pytest.approx(0.0, abs=1e-3)
        assert row["filter/unexplained"] < 1e-6


def test_rates_that_are_not_wired_show_in_the_update_and_not_in_the_logged_rate() -> None:
    rows = trained(LearningRatesNotWired)
    assert all(row["hidden/lr"] == row["hidden/planned_lr"] for row in rows)
    assert max(ratios(rows, "hidden")) / min(ratios(rows, "hidden")) > 10


def test_a_reversed_filter_has_the_wrong_sign() -> None:
    for row in trained(ReversedGrokfast):
        assert row["filter/slow_gain"] == pytest.approx(-0.3, abs=1e-3)
        assert row["filter/raw_gain"] == pytest.approx(0.3, abs=1e-3)


def test_the_wrong_order_orthogonalises_nothing() -> None:
    sound, wrong = trained(MuGrokfast), trained(WrongOrderNewtonSchulz)
    for good, bad in zip(sound, wrong, strict=True):
        assert bad["hidden/orthogonality_error"] > 1.5 * good["hidden/orthogonality_error"]
        assert bad["hidden/orthogonality_error"] > 0.5


def test_values_are_those_of_the_change() -> None:
    net = SmallNet()
    optimizer = torch.optim.SGD([{"params": [net.up.weight], "lr": 0.1}, {"params": [net.norm.weight], "lr": 0.5}])
    net.up.weight.grad, net.norm.weight.grad = torch.full((10, 6), 2.0), torch.full((6,), 4.0)
    begin = net.up.weight.detach().clone()
    with measuring(optimizer) as values:
        optimizer.step()
    assert values["group0/lr"] == 0.1
    assert values["group0/update_rms"] == pytest.approx(0.2)
    assert values["group0/weight_rms"] == pytest.approx(float(begin.square().mean().sqrt()))
    assert values["group1/update_rms"] == pytest.approx(2.0)
    assert coverage_counts(net, optimizer)["outside"] == sum(p.numel() for p in net.parameters()) - 66
    assert not any("orthogonality" in name or name.startswith("filter/") for name in values)


def test_foreign_parameters_are_counted_and_nan_is_reported() -> None:
    net, stray = SmallNet(), nn.Parameter(torch.ones(5))
    optimizer = build(net, parse({}))
    optimizer.add_param_group({"name": "stray", "kind": "adamw", "params": [stray]})
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    slow = GradEMA(optimizer, alpha=0.98)
    with measuring(optimizer, slow) as values:
        optimizer.step()
    assert coverage_counts(net, optimizer)["foreign"] == 5
    for name in ("hidden/update_rms", "hidden/orthogonality_error", "filter/slow_gain"):
        assert math.isnan(values[name]), name


def test_nothing_is_said_of_an_orthogonality_or_a_gain_that_cannot_be_told() -> None:
    net = SmallNet()
    optimizer = build(net, parse({"muon_lr": 0.0}))
    slow = GradEMA(optimizer, alpha=0.98)
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    with measuring(optimizer, slow) as values:
        optimizer.step()
    assert values["hidden/update_rms"] == 0.0
    assert "hidden/orthogonality_error" not in values
    assert "filter/slow_gain" not in values  # after one step the mean is the gradient


def test_orthogonality_error_of_known_matrices() -> None:
    assert orthogonality_error(3.0 * torch.eye(4)) == pytest.approx(0.0)
    assert orthogonality_error(torch.diag(torch.tensor([1.0, 3.0]))) == pytest.approx(0.5)
    assert orthogonality_error(torch.zeros(3, 3)) is None
    rank_one = torch.ones(5, 5)
    assert orthogonality_error(rank_one) == pytest.approx((4.0 + 4 * 1.0) / 5)


def test_the_squarest_matrices_are_watched_evenly() -> None:
    def shaped(*shape: int) -> nn.Parameter:
        return nn.Parameter(torch.zeros(shape))

    square = [shaped(4, 4) for _ in range(9)]
    chosen = watched({"params": [shaped(2, 9), *square, shaped(8)]})
    assert [next(i for i, p in enumerate(square) if p is c) for c in chosen] == [1, 3, 5, 7]
    wide = [shaped(2, 9), shaped(3, 4)]
    assert watched({"params": wide}) == wide[1:]
    assert watched({"params": [shaped(8)]}) == []


def test_the_running_mean_continues_to_the_bit_and_is_checked() -> None:
    def make() -> tuple[Layers, MuGrokfast, GradEMA]:
        net = Layers()
        optimizer = build(net, parse({"lr": 0.0, "muon_lr": 0.0}))
        assert isinstance(optimizer, MuGrokfast)
        return net, optimizer, GradEMA(optimizer, alpha=0.98)

    def advance(parts: tuple[Layers, MuGrokfast, GradEMA], steps: range) -> dict[str, Any]:
        net, optimizer, slow = parts
        for step in steps:
            net.learn(step)
            optimizer.step()
        return dict(slow.state().tensors)

    whole, half = make(), make()
    advance(half, range(3))
    continued = make()
    continued[2].load(half[2].state())
    wanted, found = advance(whole, range(6)), advance(continued, range(3, 6))
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[key], found[key]) for key in wanted)
    other = GradEMA(build(SmallNet(), parse({})), alpha=0.98)
    with pytest.raises(InputError, match=r"running mean 0: expected \[10, 10\], got \[24, 24\]"):
        other.load(half[2].state())
    half[2].close()
    before = half[2].state().tensors["0"].clone()
    advance(half, range(3, 4))
    assert torch.equal(before, half[2].state().tensors["0"])
