"""A prepared model predicts what the model predicts, and refuses what it cannot use."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from lvmcheck.errors import InputError
from models.checkpoints import inference
from models.checkpoints.inference import AMNInference, InferenceModel, optimize_for_inference
from models.lvm.amn import AMN
from suites.models.family import CONTEXT, FAMILY, contexts, small

torch.set_num_threads(1)
CLOSE = 1e-6


def scattered(model: AMN, seed: int, gain: float = 1.0) -> AMN:
    """Every tensor random, so that each one shows: at initialisation gains are 1 and shifts 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            width = parameter.shape[-1] if parameter.ndim == 2 else 1
            parameter.copy_(gain * torch.randn(parameter.shape, generator=generator) / width**0.5)
    return model.eval()


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest; NaN where either is."""
    return float((one - other).detach().abs().max())


@settings(max_examples=40, deadline=None)
@given(batch=st.integers(1, 40), steps=st.integers(1, 9), seed=st.integers(0, 10_000), gain=st.floats(0.1, 3.0))
def test_predictions_are_those_of_the_model(batch: int, steps: int, seed: int, gain: float) -> None:
    model = scattered(AMN(24, 16, 40), seed, gain)
    x = contexts(batch, 24, seed, steps)
    exact = copy.deepcopy(model).double()(x.double())
    own = difference(model(x), exact)  # 2e-6 where weights are ill-conditioned
    assert difference(optimize_for_inference(model)(x), exact) <= max(CLOSE, 2 * own)


@pytest.mark.parametrize("batch", [1, 2, 7, 129])
def test_at_full_width(batch: int) -> None:
    model = scattered(AMN(), 3)
    x = contexts(batch, 768)
    got = optimize_for_inference(model)(x)
    assert difference(got, model(x)) <= CLOSE
    torch.testing.assert_close(got.norm(dim=1), torch.ones(batch))


def test_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "packed", lambda *_: None)
    model, x = scattered(AMN(24, 16, 40), 1), contexts(9, 24)
    assert difference(optimize_for_inference(model)(x), model(x)) <= CLOSE


def test_a_product_that_is_wrong_is_not_used() -> None:
    weight = torch.randn(6, 4)
    weight[2, 1] = torch.nan
    assert inference.packed(weight, torch.zeros(6)) is None


def test_contexts_in_any_memory_layout() -> None:
    model = scattered(AMN(24, 16, 40), 2)
    predict, x = optimize_for_inference(model), contexts(6, 24, steps=8)
    for view in (x[:, ::2], x.transpose(1, 2).contiguous().transpose(1, 2), x.flip(0)[1:2], x[:0]):
        assert predict(view).shape == (len(view), 24)
        torch.testing.assert_close(predict(view), model(view).detach(), rtol=0, atol=CLOSE)
    before = x.clone()
    predict(x)
    assert torch.equal(x, before), "nothing is written to what was given"


def test_a_zero_prediction_stays_zero_and_nan_stays_in_its_row() -> None:
    model = AMN(24, 16, 40).eval()
    last = model.residual[6]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
    x = contexts(4, 24)
    x[1] = 0.0
    x[2, 3, 5] = torch.nan
    got = optimize_for_inference(model)(x)
    assert torch.equal(got[1], torch.zeros(24))
    assert got[2].isnan().all()
    torch.testing.assert_close(got[[0, 1, 3]], model(x).detach()[[0, 1, 3]], rtol=0, atol=CLOSE)
    assert optimize_for_inference(model)(x[2:3]).isnan().all()


@pytest.mark.parametrize(("kind", "what"), FAMILY)
def test_every_kind_predicts_what_it_predicted(kind: str, what: str) -> None:
    model = small(kind, what).eval()
    x = contexts(5)
    predict = optimize_for_inference(model)
    wanted = model(x).detach()
    assert type(predict) is (AMNInference if kind == "amn" else InferenceModel)
    assert difference(predict(x), wanted) <= CLOSE
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    model.train()
    assert difference(predict(x), wanted) <= CLOSE, "it is a copy"
    for parameter in model.parameters():
        assert parameter.requires_grad


def test_a_prediction_is_an_ordinary_tensor() -> None:
    predict = optimize_for_inference(small("amn", "all generations").eval())
    for batch in (1, 3):
        x = contexts(batch).requires_grad_()
        prediction = predict(x)
        assert not prediction.requires_grad
        assert not prediction.is_inference()


def test_other_precisions_go_through_the_model_itself() -> None:
    model = AMN(24, 16, 40).double().eval()
    predict, x = optimize_for_inference(model), contexts(3, 24).double()
    assert type(predict) is InferenceModel
    assert torch.equal(predict(x), model(x))


def test_a_subclass_goes_through_its_own_forward() -> None:
    class Reversed(AMN):
        def raw(self, x: torch.Tensor) -> torch.Tensor:
            return -super().raw(x)

    model, x = Reversed(24, 16, 40).eval(), contexts(3, 24)
    assert torch.equal(optimize_for_inference(model)(x), model(x))


# -- refused -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["amn", "gru"])
def test_training_mode_is_refused(kind: str) -> None:
    model = small(kind, next(what for name, what in FAMILY if name == kind)).eval()
    list(model.modules())[-1].train()
    with pytest.raises(InputError) as caught:
        optimize_for_inference(model)
    problem = "expected a model in evaluation mode, got one in training mode. Call model.eval() first."
    assert str(caught.value) == f"model {kind}: {problem}"


@pytest.mark.parametrize(
    ("x", "problem"),
    [
        (torch.zeros(2, CONTEXT, 11), "expected a context [B, T, 12], got [2, 5, 11]"),
        (torch.zeros(2, 0, 12), "expected a context [B, T, 12], got [2, 0, 12]"),
        (torch.zeros(CONTEXT, 12), "expected a context [B, T, 12], got [5, 12]"),
        (torch.zeros(2, CONTEXT, 12).double(), "expected a context of float32 on cpu, got float64 on cpu"),
        (torch.zeros(2, CONTEXT, 12, device="meta"), "expected a context of float32 on cpu, got float32 on meta"),
    ],
)
@pytest.mark.parametrize("kind", ["amn", "gru"])
def test_contexts_that_cannot_be_are_named(kind: str, x: torch.Tensor, problem: str) -> None:
    model = small(kind, next(what for name, what in FAMILY if name == kind)).eval()
    with pytest.raises(InputError) as caught:
        optimize_for_inference(model)(x)
    assert str(caught.value) == f"model {kind}: {problem}."


def test_gelu_behind_a_layer_norm_without_its_factor() -> None:
    """``LayerNorm(GELU(h))`` is ``activated(h / sqrt(2))`` of checkpoints/inference.py with twice the epsilon."""
    h = torch.randn(4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for epsilon in (1e-5, 0.1):
        wanted = F.layer_norm(F.gelu(h), (8,), eps=epsilon)
        torch.testing.assert_close(inference.activated(h * inference.HALF_SQRT, (8,), 2 * epsilon), wanted)
