"""Mamba2: the chunked scan against the recurrence it stands for, its mixer, and what is said about the fallback."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models import registry
from models.lvm.gru import GRU
from models.lvm.mamba2 import Mamba2, _Mixer
from models.lvm.parts import ssd
from models.lvm.parts.ssd import chunked_scan, running_sums, scan, segment_sums
from suites.models.family import contexts

torch.set_num_threads(1)
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def inputs(
    steps: int,
    *,
    batch: int = 2,
    groups: int = 1,
    per_group: int = 2,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Inputs:
    """x, dt, a, b, c with P = 3, N = 4; decays from almost none to almost all."""
    generator = torch.Generator().manual_seed(seed)
    heads = groups * per_group

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    dt = (3.0 * normal(batch, steps, heads)).sigmoid()
    a = -(normal(heads) * 2.0).exp()
    b, c = normal(batch, steps, groups, 4), normal(batch, steps, groups, 4)
    return normal(batch, steps, heads, 3), dt, a, b, c


def recurrence(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The definition, step by step and head by head."""
    batch, steps, heads, width = x.shape
    share = heads // b.shape[2]
    rows = []
    for row in range(batch):
        states = [x.new_zeros(width, b.shape[3]) for _ in range(heads)]
        for t in range(steps):
            for h in range(heads):
                kept = torch.exp(dt[row, t, h] * a[h]) * states[h]
                states[h] = kept + dt[row, t, h] * torch.outer(x[row, t, h], b[row, t, h // share])
                rows.append(states[h] @ c[row, t, h // share])
    return torch.stack(rows).reshape(batch, steps, heads, width)


# -- the scan ----------------------------------------------------------------------------------------------------------
@given(
    steps=st.integers(1, 23),
    chunk=st.integers(1, 30),
    groups=st.integers(1, 3),
    per_group=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_chunks_give_what_the_recurrence_gives(steps: int, chunk: int, groups: int, per_group: int, seed: int) -> None:
    given_inputs = inputs(steps, groups=groups, per_group=per_group, seed=seed)
    torch.testing.assert_close(
        chunked_scan(*given_inputs, chunk=chunk), recurrence(*given_inputs), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("steps", "chunk"), [(257, 64), (130, 1), (100, 99)])
def test_long_sequences_agree_too(steps: int, chunk: int) -> None:
    given_inputs = inputs(steps, batch=1, seed=3)
    torch.testing.assert_close(
        chunked_scan(*given_inputs, chunk=chunk), recurrence(*given_inputs), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("steps", "chunk"), [(7, 3), (5, 64), (4, 1)])
def test_gradients_are_those_of_the_recurrence(steps: int, chunk: int) -> None:
    gradients = []
    for run in (lambda *args: chunked_scan(*args, chunk=chunk), recurrence):
        leaves = [each.requires_grad_(True) for each in inputs(steps, groups=2, dtype=torch.float64)]
        weight = torch.linspace(-1.0, 1.0, 2 * steps * 4 * 3, dtype=torch.float64).reshape(2, steps, 4, 3)
        gradients.append(torch.autograd.grad((run(*leaves) * weight).sum(), leaves))
    for chunked, stepwise in zip(*gradients, strict=True):
        torch.testing.assert_close(chunked, stepwise, rtol=1e-9, atol=1e-10)


def test_gradients_are_those_of_finite_differences() -> None:
    leaves = [each.requires_grad_(True) for each in inputs(5, batch=1, dtype=torch.float64)]
    assert torch.autograd.gradcheck(lambda *args: chunked_scan(*args, chunk=2), leaves)


@given(size=st.integers(1, 9), seed=st.integers(0, 20))
@settings(max_examples=15, deadline=None)
def test_segment_sums_are_sums_of_segments(size: int, seed: int) -> None:
    x = torch.randn(2, size, generator=torch.Generator().manual_seed(seed))
    got, running = segment_sums(x), running_sums(x)
    for i in range(size):
        torch.testing.assert_close(running[:, i], x[:, : i + 1].sum(dim=1))
        for j in range(size):
            wanted = x[:, j + 1 : i + 1].sum(dim=1) if j <= i else torch.full((2,), float("-inf"))
            torch.testing.assert_close(got[:, i, j], wanted)


def test_strong_decay_forgets_and_no_decay_sums() -> None:
    """With maps of constant product 1: x_t alone under a huge decay, the sum of the past under none."""
    x, dt, _, b, _ = inputs(6, per_group=1)
    ones = torch.ones_like(b)
    summed = chunked_scan(x, torch.ones_like(dt), torch.tensor([-1e-12]), ones, ones / 4, chunk=4)
    torch.testing.assert_close(summed, x.cumsum(dim=1), rtol=1e-5, atol=1e-5)
    forgot = chunked_scan(x, torch.ones_like(dt), torch.tensor([-1e4]), ones, ones / 4, chunk=4)
    torch.testing.assert_close(forgot, x, rtol=1e-5, atol=1e-5)


def test_half_precision_is_scanned_in_float32() -> None:
    half = tuple(each.to(torch.bfloat16) for each in inputs(9))
    got = chunked_scan(*half, chunk=4)
    assert got.dtype == torch.bfloat16
    wanted = chunked_scan(*(each.float() for each in half), chunk=4)
    assert torch.equal(got, wanted.to(torch.bfloat16))


# -- the layer ---------------------------------------------------------------------------------------------------------
def mixer(chunk: int = 3) -> _Mixer:
    torch.manual_seed(0)
    return _Mixer(8, heads=4, head_dim=4, groups=2, state_dim=5, conv_width=4, chunk=chunk)


def slow_mixer(w: dict[str, Tensor], u: Tensor, *, heads: int, groups: int, state: int) -> Tensor:
    """The layer of Dao and Gu 2024 (figure 6, sequential projections left out), step by step; u [B, T, width]."""
    batch, steps, _ = u.shape
    inner, taps = len(w["norm"]), w["conv.weight"].shape[2]
    projected = u @ w["in_proj.weight"].T
    z, mixed, dt = projected[..., :inner], projected[..., inner:-heads], projected[..., -heads:]
    seen = torch.zeros_like(mixed)
    for t in range(steps):
        for back in range(min(taps, t + 1)):
            seen[:, t] += w["conv.weight"][:, 0, taps - 1 - back] * mixed[:, t - back]
    seen += w["conv.bias"]
    seen = seen * seen.sigmoid()
    x, b, c = seen[..., :inner], seen[..., inner : inner + groups * state], seen[..., inner + groups * state :]
    x = x.reshape(batch, steps, heads, -1)
    b, c = (each.reshape(batch, steps, groups, state) for each in (b, c))
    y = recurrence(x, torch.log1p((dt + w["dt_bias"]).exp()), -w["log_decay"].exp(), b, c)
    gated = (y + w["skip"][:, None] * x).reshape(batch, steps, inner) * z * z.sigmoid()
    parts = gated.reshape(batch, steps, groups, -1)
    normed = parts / torch.sqrt(parts.square().mean(dim=3, keepdim=True) + 1e-5)
    return (normed.reshape(batch, steps, inner) * w["norm"]) @ w["out_proj.weight"].T


def test_the_layer_computes_the_formula() -> None:
    layer, u = mixer(), torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # away from ones and from near-zero step sizes
    weights = {name: tensor.double() for name, tensor in layer.state_dict().items()}
    wanted = slow_mixer(weights, u.double(), heads=4, groups=2, state=5)
    torch.testing.assert_close(layer(u).double(), wanted, rtol=1e-4, atol=1e-5)


def test_no_step_sees_a_later_one() -> None:
    layer, u = mixer(), torch.randn(2, 11, 8, requires_grad=True)
    for t in (0, 4, 10):
        (gradient,) = torch.autograd.grad(layer(u)[:, t].sum(), u)
        assert not gradient[:, t + 1 :].any()
        assert gradient[:, : t + 1].flatten(2).any(dim=2).all(), "every earlier step is seen"


@pytest.mark.parametrize("chunk", [1, 2, 5, 64])
def test_the_chunk_is_no_part_of_the_function(chunk: int) -> None:
    u = torch.randn(3, 11, 8)
    torch.testing.assert_close(mixer(chunk)(u), mixer()(u), rtol=1e-5, atol=1e-5)


def test_step_sizes_and_decays_start_in_their_ranges() -> None:
    torch.manual_seed(1)
    layer = _Mixer(64, heads=32, head_dim=4, groups=1, state_dim=2, conv_width=4, chunk=8)
    dt, decay = torch.nn.functional.softplus(layer.dt_bias).detach(), layer.log_decay.detach().exp()
    assert 1e-3 * 0.999 < float(dt.min()) < 4e-3
    assert 2e-2 < float(dt.max()) < 0.1001
    assert 1.0 <= float(decay.min()) < 4.0
    assert 12.0 < float(decay.max()) <= 16.0


# -- what is said ------------------------------------------------------------------------------------------------------
def test_gru_stands_in_only_on_request_and_says_so() -> None:
    real = registry.build("mamba2", input_dim=12, hidden_dim=8, head_dim=4)
    assert isinstance(real, Mamba2)
    assert not any(isinstance(module, torch.nn.GRU) for module in real.modules())
    assert real.notes == ("mamba2: scan in plain PyTorch on cpu",)
    asked = registry.build("mamba2", input_dim=12, hidden_dim=8, head_dim=4, fallback="gru")
    assert isinstance(asked, Mamba2)
    assert not any(isinstance(module, _Mixer) for module in asked.modules())
    assert "GRUs stand in" in asked.notes[0]


def test_the_fallback_is_the_gru_stack_of_the_original_projects() -> None:
    asked = Mamba2(input_dim=12, hidden_dim=8, head_dim=4, layers=2, fallback="gru").eval()
    stack = GRU(input_dim=12, hidden_dim=8, layers=2, norm="pre", head=True).eval()
    stack.load_state_dict(asked.state_dict())
    assert torch.equal(asked(contexts(3)), stack(contexts(3)))


def test_fused_kernels_are_taken_only_on_cuda_and_their_absence_is_said() -> None:
    kernel, said = ssd.fused_kernel()
    try:
        assert version("mamba-ssm") in said
    except PackageNotFoundError:
        assert kernel is None
        assert said == "mamba-ssm is not installed"
    assert not ssd.fits_fused(torch.zeros(2), 64)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_the_fast_way_agrees_with_the_plain_one() -> None:
    given_inputs = [each.cuda() for each in inputs(70, groups=1)]
    fast, plain = scan(*given_inputs, chunk=32), chunked_scan(*given_inputs, chunk=32)
    torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Mamba2(input_dim=12, hidden_dim=8, head_dim=4, layers=1)
    on_cpu = model(contexts(4))
    torch.testing.assert_close(model.cuda()(contexts(4).cuda()).cpu(), on_cpu, rtol=1e-4, atol=1e-4)
