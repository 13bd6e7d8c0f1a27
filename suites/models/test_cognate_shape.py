"""Cognate: exact parameter counts, shapes, first loss, bad input, types, saving."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from lvmcheck.errors import InputError
from models.cognate.components import components
from models.cognate.model import Cognate
from suites.models.cognate_small import SMALL, VOCABULARY, packed, small, some_tokens

torch.set_num_threads(1)
SEEDS = {"vocab_size": 50_257}
WIDE = {"d_model": 320, "layers": 8, "d_ff": 1280, "d_mem": 160}


@pytest.mark.parametrize(
    ("options", "total"),
    [
        pytest.param(SEEDS, 25_623_681, id="seeds"),
        pytest.param({**SEEDS, **WIDE}, 32_571_041, id="trained in October"),
        pytest.param({"vocab_size": 32_768, **WIDE}, 26_974_561, id="small vocabulary"),
    ],
)
def test_parameter_counts_are_exact(options: dict[str, Any], total: int) -> None:
    with torch.device("meta"):
        model = Cognate(**options)
    assert sum(p.numel() for p in model.parameters()) == total
    assert sum(components(model).values()) == total


def test_components_are_those_of_the_documents() -> None:
    with torch.device("meta"):
        parts = components(Cognate(**SEEDS))
    assert parts["embedding"] + parts["position"] == 13_390_080
    assert parts["backbone"] + parts["memory"] + parts["gate"] == 10_655_360
    assert parts["recursion"] == 24 * 256**2 + 20 * 256
    assert parts["halting"] == 257


@pytest.mark.parametrize("width", [16, 64])
def test_the_first_loss_is_that_of_a_uniform_guess(width: int) -> None:
    torch.manual_seed(0)
    model = Cognate(400, **{**SMALL, "d_model": width}).eval()
    tokens = torch.randint(400, (8, 64), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        loss = F.cross_entropy(model(tokens).logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    assert float(loss) == pytest.approx(math.log(400), abs=0.15)


def test_every_part_of_the_output_has_its_shape() -> None:
    model, tokens = small(recursion_steps=4), some_tokens(3, 7)
    output = model(tokens)
    assert output.logits.shape == (3, 7, VOCABULARY)
    assert [h.shape for h in output.step_hidden] == [(3, 7, 16)] * 4
    assert output.halt_probability.shape == output.halt_weight.shape == (4, 3, 7)
    assert output.halting_steps.shape == output.ponder.shape == output.write.shape == (3, 7)
    assert output.halting_steps.dtype == torch.int64
    assert output.gate.shape == (3, 7, 16)
    assert output.memory.shape == (3, 6)
    assert output.state is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"specialisation": "reasonning"},
            "model cognate: run.model.specialisation: no such specialisation 'reasonning'. Did you mean 'reasoning'?",
        ),
        ({"head_dim": 5}, "model cognate: run.model.head_dim: expected a divisor of d_model = 16, got 5."),
        ({"trm_heads": 3}, "model cognate: run.model.trm_heads: expected a divisor of d_model = 16, got 3."),
        ({"layers": 0}, "model cognate: run.model.layers: expected at least 1, got 0."),
        ({"window": 0}, "model cognate: run.model.window: expected at least 1, got 0."),
        ({"recursion_steps": 1}, "model cognate: run.model.recursion_steps: expected at least 2, got 1."),
        ({"dropout": 1.0}, "model cognate: run.model.dropout: expected at least 0 and less than 1, got 1."),
        ({"memory_capacity": 1}, "model cognate: run.model.memory_capacity: expected at least 2, got 1."),
        (
            {"halting_threshold": 0.0},
            "model cognate: run.model.halting_threshold: expected more than 0 and at most 1, got 0.",
        ),
        (
            {"surprise_threshold": float("nan")},
            "model cognate: run.model.surprise_threshold: expected 0 to 1, got nan.",
        ),
    ],
)
def test_bad_parameters_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        small(**change)
    assert str(caught.value) == message


@pytest.mark.parametrize("bad", [-1, VOCABULARY])
def test_tokens_outside_of_the_vocabulary_are_named(bad: int) -> None:
    tokens = some_tokens(2, 5)
    tokens[1, 3] = bad
    with pytest.raises(InputError, match=f"vocab_size: expected tokens from 0 to 22, got {bad}. The tokenizer"):
        small()(tokens)


@pytest.mark.parametrize("tokens", [torch.zeros(3), torch.zeros(2, 3), torch.zeros(2, 0, dtype=torch.int64)])
def test_what_is_no_batch_of_tokens_is_named(tokens: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"expected tokens \[B, T >= 1\] of int64, got"):
        small()(tokens)


def test_records_that_are_too_long_are_named() -> None:
    message = "model cognate: run.model.max_length: expected at most 4 positions, got 5."
    model = small(max_length=4)
    assert model(some_tokens(1, 4)).logits.shape == (1, 4, VOCABULARY)
    with pytest.raises(InputError) as caught:
        model(some_tokens(1, 5))
    assert str(caught.value).startswith(message)
    state = model(some_tokens(1, 3), state=model.new_state(1)).state
    with pytest.raises(InputError) as caught:
        model(some_tokens(1, 2), state=state)
    assert str(caught.value).startswith(message)


def test_segments_and_states_of_another_batch_are_named() -> None:
    model = small()
    with pytest.raises(InputError, match=r"expected segments \[2, 5\] of int64, got \[1, 5\]"):
        model(some_tokens(2, 5), segments=packed([5], 5))
    with pytest.raises(InputError, match="expected a state of 2 rows, got 3"):
        model(some_tokens(2, 5), state=model.new_state(3))


def test_saved_weights_give_the_same_logits(tmp_path: Path) -> None:
    model, tokens = small(), some_tokens(2, 9)
    model.halting.usual_loss.fill_(1.5)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    other = small(seed=1)
    assert not torch.equal(model(tokens).logits, other(tokens).logits)
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(model(tokens).logits, other(tokens).logits)
    assert torch.equal(other.halting.usual_loss, model.halting.usual_loss)


def test_the_head_is_the_token_embedding() -> None:
    model, tokens = small(), some_tokens(1, 4)
    before = model(tokens).logits
    with torch.no_grad():
        model.token_embedding.weight[7] = 0.0
    assert "head.weight" not in model.state_dict()
    assert before[..., 7].abs().min() > 0.0
    assert torch.equal(model(tokens).logits[..., 7], torch.zeros(1, 4))


def test_bfloat16_autocast_is_close_and_keeps_the_memory_in_float32() -> None:
    model, tokens = small(), some_tokens(4, 30)
    plain = model(tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(tokens)
        logits = rounded.logits
    assert logits.dtype == torch.bfloat16
    assert rounded.memory.dtype == rounded.halt_weight.dtype == torch.float32
    torch.testing.assert_close(logits.float(), plain.logits, rtol=0.0, atol=0.02)
    torch.testing.assert_close(rounded.ponder, plain.ponder, rtol=0.0, atol=0.02)


def test_activation_checkpointing_changes_no_gradient() -> None:
    tokens = some_tokens(2, 12)
    gradients = []
    for checkpointing in (False, True):
        model = small().train()
        model.checkpointing = checkpointing
        model(tokens).logits.square().mean().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 0
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


class _Logits(torch.nn.Module):
    def __init__(self, model: Cognate) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(tokens).logits
        return logits


def test_it_can_be_exported_for_any_batch() -> None:
    model = _Logits(small()).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (some_tokens(3, 9),), dynamic_shapes={"tokens": {0: batch}})
    for rows in (1, 5):
        torch.testing.assert_close(program.module()(some_tokens(rows, 9, seed=rows)), model(some_tokens(rows, 9, rows)))
