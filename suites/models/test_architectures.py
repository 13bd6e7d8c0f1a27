"""The sequence models against a slow second writing of history 2, and weights that fit another model refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lvmcheck.errors import InputError
from models import registry
from models.checkpoints.checkpoint import Checkpoint, Description, architecture, publish, snapshot
from models.checkpoints.load import load_model, restore
from models.losses import unit
from models.lvm.parts.vector_model import VectorModel
from models.lvm.transformer import Transformer, sinusoids
from suites.models.family import contexts, small, train

torch.set_num_threads(1)
Weights = dict[str, Tensor]


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def layer_norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    scaled = centred / torch.sqrt(centred.square().mean(dim=-1, keepdim=True) + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gates(weights: Weights, name: str, layer: int, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """What input and state add to the gates of one step."""
    given = x @ weights[f"{name}.weight_ih_l{layer}"].T + weights[f"{name}.bias_ih_l{layer}"]
    kept = state @ weights[f"{name}.weight_hh_l{layer}"].T + weights[f"{name}.bias_hh_l{layer}"]
    return given, kept


def lstm(weights: Weights, name: str, x: Tensor, layer: int = 0) -> Tensor:
    """Hochreiter and Schmidhuber 1997 with forget gates, step by step: [B, T, in] to [B, T, H]."""
    width = weights[f"{name}.weight_hh_l{layer}"].shape[1]
    state, cell, states = x.new_zeros(len(x), width), x.new_zeros(len(x), width), []
    for step in x.unbind(dim=1):
        given, kept = gates(weights, name, layer, step, state)
        i, f, g, o = torch.split(given + kept, width, dim=1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        state = o.sigmoid() * cell.tanh()
        states.append(state)
    return torch.stack(states, dim=1)


def gru(weights: Weights, name: str, x: Tensor) -> Tensor:
    """Cho et al. 2014 as cuDNN has it, step by step."""
    width = weights[f"{name}.weight_hh_l0"].shape[1]
    state, states = x.new_zeros(len(x), width), []
    for step in x.unbind(dim=1):
        given, kept = gates(weights, name, 0, step, state)
        (r, z, n), (r_kept, z_kept, n_kept) = (torch.split(each, width, dim=1) for each in (given, kept))
        update = (z + z_kept).sigmoid()
        state = (1 - update) * torch.tanh(n + (r + r_kept).sigmoid() * n_kept) + update * state
        states.append(state)
    return torch.stack(states, dim=1)


def out(weights: Weights, x: Tensor, *, head: bool) -> Tensor:
    if not head:
        return linear(weights, "out", x)
    hidden = linear(weights, "out.0", x)
    hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
    return linear(weights, "out.3", layer_norm(weights, "out.2", hidden))


def slow_lstm(weights: Weights, x: Tensor, *, head: bool) -> Tensor:
    states = lstm(weights, "lstm", lstm(weights, "lstm", x), layer=1)
    return out(weights, states[:, -1], head=head)


def slow_gru(weights: Weights, x: Tensor, *, pre: bool, head: bool) -> Tensor:
    h = linear(weights, "embed", x)
    for block in ("body.0", "body.1"):
        normed = layer_norm(weights, f"{block}.norm", h) if pre else h
        h = h + gru(weights, f"{block}.core", normed)
        h = h if pre else layer_norm(weights, f"{block}.norm", h)
    return out(weights, h[:, -1], head=head)


def slow_lstm_stack(weights: Weights, x: Tensor) -> Tensor:
    h = linear(weights, "embed", x)
    for block in ("body.0", "body.1"):
        h = layer_norm(weights, f"{block}.norm", lstm(weights, f"{block}.core", h) + h)
    return out(weights, h[:, -1], head=False)


def slow_mixture(weights: Weights, x: Tensor, *, softmax: bool) -> Tensor:
    w = weights["position"]
    w = w.exp() / w.exp().sum() if softmax else w
    return linear(weights, "out", sum((w[t] * x[:, t] for t in range(x.shape[1])), torch.zeros(())))


@pytest.mark.parametrize(
    ("kind", "what", "slow"),
    [
        ("lstm", "16 October on", lambda w, x: slow_lstm(w, x, head=False)),
        ("lstm", "12 to 16 October", lambda w, x: slow_lstm(w, x, head=True)),
        ("gru", "16 October on", lambda w, x: slow_gru(w, x, pre=False, head=False)),
        ("gru", "12 to 16 October", lambda w, x: slow_gru(w, x, pre=True, head=True)),
        ("mamba2", "12 to 16 October: GRUs", lambda w, x: slow_gru(w, x, pre=True, head=True)),
        ("lstm_stack", "29 October", slow_lstm_stack),
        ("linear_mixture", "free weights", lambda w, x: slow_mixture(w, x, softmax=False)),
        ("linear_mixture", "softmax weights", lambda w, x: slow_mixture(w, x, softmax=True)),
    ],
)
def test_it_computes_the_formula(kind: str, what: str, slow: object) -> None:
    model, x = small(kind, what), contexts(6)
    train(model, 3)
    model.eval()
    weights = {name: tensor.double() for name, tensor in model.state_dict().items()}
    raw, prediction = model(x, return_raw=True)
    wanted = slow(weights, x.double())  # type: ignore[operator]
    torch.testing.assert_close(raw.double(), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(prediction.double(), wanted / wanted.norm(dim=1, keepdim=True), rtol=1e-4, atol=1e-5)


def test_the_transformer_is_the_decoder_of_torch_called_with_itself() -> None:
    """The original project's call: ``decoder(tgt=x, memory=x, tgt_mask=causal, memory_mask=causal)``, then the last
    step."""
    model, x = small("transformer", "both generations").double().eval(), contexts(6).double()
    assert isinstance(model, Transformer)
    layer = nn.TransformerDecoderLayer(16, 2, 32, 0.1, batch_first=True, dtype=torch.float64)
    decoder = nn.TransformerDecoder(layer, num_layers=2).eval()
    decoder.layers.load_state_dict(model.layers.state_dict())
    position = torch.tensor(
        [[(math.sin, math.cos)[d % 2](t / 10000 ** ((d - d % 2) / 16)) for d in range(16)] for t in range(5)]
    )
    embedded = model.embed(x) + position.double()
    causal = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    hidden = decoder(embedded, embedded, tgt_mask=causal, memory_mask=causal)
    torch.testing.assert_close(model(x), unit(model.out(hidden[:, -1])), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("width", [1, 2, 7, 16])
def test_positions_are_sines_and_cosines_in_turn(width: int) -> None:
    got = sinusoids(11, width, torch.device("cpu"))
    assert got.shape == (11, width)
    for t in range(11):
        for d in range(width):
            angle = t / 10000 ** ((d - d % 2) / width)
            assert float(got[t, d]) == pytest.approx(math.cos(angle) if d % 2 else math.sin(angle), abs=1e-5)


def test_layers_of_the_transformer_start_with_weights_of_their_own() -> None:
    weights = Transformer(input_dim=12, hidden_dim=8, layers=2, heads=2).state_dict()
    assert not torch.equal(weights["layers.0.linear1.weight"], weights["layers.1.linear1.weight"])


# -- weights of another model ------------------------------------------------------------------------------------------
def kept(model: VectorModel, **params: object) -> Checkpoint:
    about = Description(name="best", kind=model.kind, params=params, architecture=architecture(model), epoch=1, step=1)
    return snapshot(model, contexts(4), about)


def build(kind: str, **params: object) -> VectorModel:
    model = registry.build(kind, input_dim=12, hidden_dim=8, layers=2, **params)
    assert isinstance(model, VectorModel)
    return model


def test_weights_of_a_class_with_the_same_names_and_shapes_are_refused() -> None:
    """torch's strict loading passes here (test_mamba2): both are pre-norm GRU stacks with a head."""
    saved = kept(build("gru", norm="pre", head=True))
    with pytest.raises(InputError, match="expected weights of Mamba2, got those of another class saved as kind 'gru'"):
        restore(build("mamba2", head_dim=4, fallback="gru"), saved)


def test_weights_of_another_order_of_norm_and_sum_are_refused() -> None:
    """One class, the same tensors, other options: only the outputs on the probe tell them apart."""
    saved = kept(build("gru", norm="pre"))
    with pytest.raises(InputError, match="probe: expected the outputs that the saved model gave, got others"):
        restore(build("gru", norm="post"), saved)


def test_a_checkpoint_brings_its_options_along(tmp_path: Path) -> None:
    options = {"input_dim": 12, "hidden_dim": 8, "layers": 2, "norm": "pre", "head": True}
    model = registry.build("gru", **options)
    assert isinstance(model, VectorModel)
    loaded, _ = load_model(publish(tmp_path, kept(model, **options)))
    assert torch.equal(loaded(contexts(3)), model(contexts(3)))
