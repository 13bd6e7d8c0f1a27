"""One list of properties for every model: each file of models/lvm, in each variant it names, must have them all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmcheck.errors import InputError
from models import registry
from models.checkpoints.checkpoint import Description, architecture, publish, snapshot
from models.checkpoints.export import exported, largest_difference
from models.checkpoints.load import load_model
from models.losses import unit
from models.lvm.parts.vector_model import VectorModel
from suites.models.family import CONTEXT, FAMILY, contexts, drifts, options, small, small_options, train

torch.set_num_threads(1)
FULL = os.environ.get("LVM_RELIABILITY") == "full"
every_model = pytest.mark.parametrize(("kind", "what"), FAMILY)

COUNTS = {  # history 2 and D; Mamba2 and the linear mixture by hand
    ("amn", "all generations"): 1_510_912,
    ("lstm", "16 October on"): 5_120_768,
    ("lstm", "12 to 16 October"): 5_384_448,
    ("gru", "16 October on"): 7_095_552,
    ("gru", "12 to 16 October"): 7_359_232,
    ("mamba2", "12 to 16 October: GRUs"): 7_359_232,
    # 4 x (512 x 2192 + 1152 x 4 + 1152 + 3 x 16 + 1024 + 1024 x 512 + LayerNorm 1024), embedding, head
    ("mamba2", "Mamba2"): 4 * (1_122_304 + 4_608 + 1_152 + 48 + 1_024 + 524_288 + 1_024) + 393_728 + 657_664,
    ("transformer", "both generations"): 17_867_520,
    ("lstm_stack", "29 October"): 9_196_800,
    ("linear_mixture", "free weights"): 768 * 768 + 768 + 5,
    ("linear_mixture", "softmax weights"): 768 * 768 + 768 + 5,
}


@pytest.mark.parametrize(("kind", "what"), [pytest.param(*pair, id="-".join(pair)) for pair in COUNTS])
def test_parameter_counts_are_exact(kind: str, what: str) -> None:
    with torch.device("meta"):
        model = registry.build(kind, **options(kind, what))
    assert sum(p.numel() for p in model.parameters()) == COUNTS[kind, what]
    assert sum(p.numel() for p in model.parameters()) == sum(t.numel() for t in model.state_dict().values())


def test_the_linear_mixture_at_the_width_of_real_text() -> None:
    model = registry.build("linear_mixture", input_dim=384)
    assert sum(p.numel() for p in model.parameters()) == 384 * 384 + 384 + 5


# -- the call ----------------------------------------------------------------------------------------------------------
@every_model
@given(batch=st.integers(1, 5), width=st.integers(2, 33))
@settings(max_examples=8, deadline=None)
def test_shapes_length_and_the_two_ways_to_call(kind: str, what: str, batch: int, width: int) -> None:
    model, x = small(kind, what, width).eval(), contexts(batch, width)
    prediction = model(x)
    raw, same = model(x, return_raw=True)
    assert prediction.shape == raw.shape == (batch, width)
    assert torch.equal(prediction, same)
    torch.testing.assert_close(unit(raw), prediction, rtol=0, atol=0)
    torch.testing.assert_close(prediction.norm(dim=1), torch.ones(batch))


@every_model
@pytest.mark.parametrize("shape", [(3, 12), (2, CONTEXT, 11), (2, 0, 12), (2, CONTEXT, 12, 1)])
def test_wrong_shapes_are_named(kind: str, what: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as caught:
        small(kind, what)(torch.zeros(shape))
    assert str(caught.value) == f"model {kind}: expected a context [B, T, 12], got {list(shape)}."


@every_model
def test_zero_and_constant_contexts_stay_finite(kind: str, what: str) -> None:
    x = torch.zeros(2, CONTEXT, 12)
    x[1] = 1.0
    assert small(kind, what).eval()(x).isfinite().all()


# -- evaluation --------------------------------------------------------------------------------------------------------
@every_model
@given(batch=st.integers(2, 9), row=st.integers(0, 1), seed=st.integers(0, 50))
@settings(max_examples=5, deadline=None)
def test_a_row_does_not_depend_on_its_batch(kind: str, what: str, batch: int, row: int, seed: int) -> None:
    model, x = small(kind, what, seed=seed).eval(), contexts(batch, seed=seed)
    torch.testing.assert_close(model(x)[row], model(x[row : row + 1])[0], rtol=0, atol=1e-6)
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(model(x)[row].sum(), x)
    assert gradient[row].any()
    assert not torch.cat((gradient[:row], gradient[row + 1 :])).any()


@every_model
def test_evaluation_changes_nothing_and_repeats(kind: str, what: str) -> None:
    model, x = small(kind, what).eval(), contexts(4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    seen, random = x.clone(), torch.get_rng_state()
    with torch.no_grad():
        first, other, second = model(x), model(contexts(7, seed=1)), model(x)
    assert torch.equal(first, second)
    assert other.shape == (7, 12)
    assert torch.equal(x, seen)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@every_model
def test_order_is_seen_as_declared(kind: str, what: str) -> None:
    """After a few steps of training: a mixture that starts with equal weights has no order before."""
    model = small(kind, what)
    train(model, 3)
    model = model.double().eval()
    x = contexts(8).double()
    for order in ([4, 3, 2, 1, 0], [1, 0, 2, 3, 4]):
        difference = (model(x[:, order]) - model(x)).norm(dim=1)
        assert (difference > 1e-5).all() if model.order_matters else (difference < 1e-12).all()


# -- training ----------------------------------------------------------------------------------------------------------
@every_model
def test_gradient_reaches_every_tensor(kind: str, what: str) -> None:
    model = small(kind, what)
    x, target = drifts(16)
    (model(x) - target).square().mean().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert set(model.silent) <= set(gradients)
    for name, gradient in gradients.items():
        assert gradient is not None, name
        largest = float(gradient.abs().max())
        assert (largest < 1e-7) if name in model.silent else (largest > 1e-7), f"{name}: {largest}"


@every_model
def test_forty_steps_lower_the_loss(kind: str, what: str) -> None:
    losses = train(small(kind, what), 40)
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])


@every_model
def test_a_seed_decides_weights_and_training(kind: str, what: str) -> None:
    first, second, other = (small(kind, what, seed=seed) for seed in (3, 3, 4))
    weights = [dict(model.state_dict()) for model in (first, second, other)]
    assert all(torch.equal(weights[0][name], tensor) for name, tensor in weights[1].items())
    losses = []
    for model, seed in ((first, 5), (second, 5), (other, 6)):
        torch.manual_seed(seed)
        losses.append(train(model, 4))
    assert losses[0] == losses[1]
    differs = any(not torch.equal(weights[0][name], tensor) for name, tensor in weights[2].items())
    # a model without random initialisation and without dropout is the same under any seed
    assert differs == (losses[0] != losses[2]) == (kind != "linear_mixture")


@every_model
def test_bfloat16_is_finite_and_close(kind: str, what: str) -> None:
    full = small(kind, what, 16).eval()
    half = small(kind, what, 16).eval().to(torch.bfloat16)
    x = contexts(32, 16)
    raw, prediction = half(x.to(torch.bfloat16), return_raw=True)
    assert raw.dtype == prediction.dtype == torch.bfloat16
    assert ((prediction.float() * full(x)).sum(dim=1) > 0.995).all()
    prediction.square()[:, 0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in half.parameters())


# -- leaving the process -----------------------------------------------------------------------------------------------
@every_model
def test_saved_and_loaded_it_predicts_the_same(kind: str, what: str, tmp_path: Path) -> None:
    model, x = small(kind, what), contexts(6, seed=2)
    train(model, 2)
    params = {"input_dim": 12, **small_options(kind, what)}
    about = Description(name="best", kind=kind, params=params, architecture=architecture(model), epoch=1, step=2)
    place = publish(tmp_path, snapshot(model, contexts(4), about))
    loaded, _ = load_model(place)
    assert not loaded.training
    assert type(loaded) is type(model)
    assert torch.equal(loaded(x), model.eval()(x))


@pytest.mark.parametrize(("kind", "what"), FAMILY if FULL else {kind: (kind, what) for kind, what in FAMILY}.values())
def test_the_exported_program_agrees_at_any_batch_size(kind: str, what: str) -> None:
    model, other = (small(kind, what, seed=seed, layers=1).eval() for seed in (0, 1))
    train(other, 2)
    run = exported(model, width=12, context=CONTEXT).module()
    assert largest_difference(run, model, contexts(1)) <= 1e-5
    assert largest_difference(run, other.eval(), contexts(1)) > 1e-3, "agreement with any model would prove nothing"
    for batch in (1, 3, 65):
        torch.testing.assert_close(run(contexts(batch)), model(contexts(batch)), rtol=0, atol=1e-5)


# -- parameters --------------------------------------------------------------------------------------------------------
BELOW_ONE = "expected at least 0 and less than 1, got"


@pytest.mark.parametrize(
    ("kind", "name", "value", "problem"),
    [
        ("gru", "norm", "prae", "no such norm 'prae'. Did you mean 'pre'?"),
        ("lstm", "dropout", 1.0, f"{BELOW_ONE} 1."),
        ("transformer", "dropout", float("nan"), f"{BELOW_ONE} nan."),
        ("transformer", "heads", 7, "expected a divisor of hidden_dim = 512, got 7."),
        ("mamba2", "head_dim", 3, "expected a divisor of expand * hidden_dim = 1024, got 3."),
        ("mamba2", "groups", 3, "expected a divisor of the number of heads = 16, got 3."),
        ("mamba2", "fallback", "gur", "no such fallback 'gur'. Did you mean 'gru'?"),
        ("linear_mixture", "weights", "fre", "no such weights 'fre'. Did you mean 'free'?"),
    ],
)
def test_values_that_cannot_be_are_named(kind: str, name: str, value: object, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        registry.build(kind, **{name: value})
    assert str(caught.value) == f"model {kind}: run.model.{name}: {problem}"


def test_the_linear_mixture_names_the_context_it_was_made_for() -> None:
    with pytest.raises(InputError) as caught:
        registry.build("linear_mixture", input_dim=12)(torch.zeros(2, 4, 12))
    assert str(caught.value) == "model linear_mixture: run.model.context: expected a context of 5 vectors, got 4."


def test_the_linear_mixture_starts_as_the_mean_of_its_context() -> None:
    for weights in ("free", "softmax"):
        model = registry.build("linear_mixture", input_dim=12, weights=weights)
        x = contexts(9)
        torch.testing.assert_close(model(x, return_raw=True)[0], x.mean(dim=1))


def test_a_single_recurrent_layer_needs_no_dropout() -> None:
    """torch warns about dropout that has nothing between which to drop, and warnings are errors here."""
    model = registry.build("lstm", input_dim=12, hidden_dim=4, layers=1)
    assert isinstance(model, VectorModel)
    assert torch.equal(model(contexts(3)), model(contexts(3)))
