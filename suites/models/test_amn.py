"""AMN: the architecture of history 1, compared with a slow second writing of its formulas."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.lvm.amn import AMN

torch.set_num_threads(1)


def small(input_dim: int = 12, seed: int = 0) -> AMN:
    torch.manual_seed(seed)
    return AMN(input_dim=input_dim, d_model=8, hidden_dim=10)


def contexts(batch: int, steps: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, steps, width, generator=generator)
    return x / x.norm(dim=-1, keepdim=True)


def slow(model: AMN, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(raw, prediction, attention), row by row and position by position, in float64."""
    weights = {name: tensor.double() for name, tensor in model.state_dict().items()}

    def linear(name: str, v: Tensor) -> Tensor:
        return weights[f"{name}.weight"] @ v + weights[f"{name}.bias"]

    def gelu(v: Tensor) -> Tensor:
        return 0.5 * v * (1 + torch.erf(v / math.sqrt(2)))

    def layer_norm(name: str, v: Tensor) -> Tensor:
        centred = v - v.mean()
        scaled = centred / torch.sqrt((centred**2).mean() + 1e-5)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    raws, attentions = [], []
    for row in x.double():
        steps = len(row)
        baseline = sum(row) / steps
        query = linear("query", baseline)
        scores = [float(query @ linear("key", v)) / math.sqrt(len(query)) for v in row]
        exponentials = [math.exp(score) for score in scores]
        attention = [e / sum(exponentials) for e in exponentials]
        mixture = sum(a * v for a, v in zip(attention, row, strict=True))
        hidden = layer_norm("residual.2", gelu(linear("residual.0", torch.cat((baseline, mixture)))))
        hidden = layer_norm("residual.5", gelu(linear("residual.3", hidden)))
        raws.append(baseline + linear("residual.6", hidden))
        attentions.append(torch.tensor(attention, dtype=torch.float64))
    raw = torch.stack(raws)
    return raw, raw / raw.norm(dim=1, keepdim=True), torch.stack(attentions)


def test_parameter_count_is_that_of_every_recorded_history() -> None:
    assert sum(p.numel() for p in AMN().parameters()) == 1_510_912


@given(width=st.integers(1, 40), d_model=st.integers(1, 16), hidden=st.integers(1, 16))
@settings(max_examples=20, deadline=None)
def test_parameter_count_in_closed_form(width: int, d_model: int, hidden: int) -> None:
    model = AMN(input_dim=width, d_model=d_model, hidden_dim=hidden)
    attention = 2 * (width * d_model + d_model)
    residual = 2 * width * hidden + hidden + 2 * hidden + hidden * d_model + d_model + 2 * d_model
    assert sum(p.numel() for p in model.parameters()) == attention + residual + d_model * width + width


@given(batch=st.integers(1, 4), steps=st.integers(1, 7), width=st.integers(2, 20), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_agrees_with_the_slow_formula(batch: int, steps: int, width: int, seed: int) -> None:
    model, x = small(width, seed), contexts(batch, steps, width, seed)
    raw, prediction, attention = slow(model, x)
    got_raw, got_prediction = model(x, return_raw=True)
    got, got_attention = model(x, return_attention=True)
    torch.testing.assert_close(got_raw.double(), raw, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got_prediction.double(), prediction, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got_attention.double(), attention, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got, got_prediction)
    with torch.no_grad():
        assert torch.equal(model(x, return_attention=True)[0], model(x))


def test_return_modes_and_their_precedence() -> None:
    model, x = small(), contexts(3, 5, 12)
    plain = model(x)
    assert plain.shape == (3, 12)
    both = model(x, return_raw=True, return_attention=True)
    assert both[1].shape == (3, 5), "return_attention takes precedence"
    torch.testing.assert_close(both[0], plain)
    raw, prediction = model(x, return_raw=True)
    assert torch.equal(prediction, plain)
    torch.testing.assert_close(raw / raw.norm(dim=1, keepdim=True), plain)


@given(order=st.permutations(range(5)))
@settings(max_examples=15, deadline=None)
def test_order_of_the_context_is_invisible(order: list[int]) -> None:
    model, x = small().double(), contexts(4, 5, 12).double()
    permuted, attention = model(x[:, order], return_attention=True)
    torch.testing.assert_close(permuted, model(x), rtol=0, atol=1e-12)
    torch.testing.assert_close(attention, model(x, return_attention=True)[1][:, order], rtol=0, atol=1e-12)


def test_predictions_have_unit_length_and_attention_sums_to_one() -> None:
    prediction, attention = small()(contexts(50, 5, 12), return_attention=True)
    torch.testing.assert_close(prediction.norm(dim=1), torch.ones(50))
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(50))
    assert (attention > 0).all()


def test_an_untrained_residual_drowns_the_baseline() -> None:
    """The residual is a LayerNorm output through a default Linear, so its norm is near sqrt(D / 3) = 16."""
    torch.manual_seed(0)
    model, x = AMN(), contexts(64, 5, 768)
    raw, prediction = model(x, return_raw=True)
    assert 14 < float((raw - x.mean(dim=1)).norm(dim=1).mean().detach()) < 18
    baseline = torch.nn.functional.normalize(x.mean(dim=1), dim=1)
    assert abs(float((prediction * baseline).sum(dim=1).mean().detach())) < 0.1
