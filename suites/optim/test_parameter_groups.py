"""Every trainable parameter in exactly one group, and the right one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lvmcheck.errors import InputError
from models.cognate.model import Cognate
from models.optim.groups import parameter_groups
from suites.optim.slow_twin import SmallNet


def named(model: nn.Module) -> dict[str, set[str]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {group["name"]: {names[id(p)] for p in group["params"]} for group in parameter_groups(model)}


def test_each_kind_of_parameter_has_its_group() -> None:
    assert named(SmallNet()) == {
        "hidden": {"up.weight", "square.weight", "down.weight"},
        "embedding": {"table.weight"},
        "scalar": {"up.bias", "norm.weight", "norm.bias", "halt.weight", "halt.bias"},
    }
    assert [(group["name"], group["kind"]) for group in parameter_groups(SmallNet())] == [
        ("hidden", "muon"),
        ("embedding", "adamw"),
        ("scalar", "adamw"),
    ]


def test_all_of_the_language_model_is_grouped_once() -> None:
    model = Cognate(50, d_model=32, layers=2, d_ff=64, d_mem=16, head_dim=16, window=16, max_length=32, trm_heads=2)
    groups = parameter_groups(model)
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
    kinds = named(model)
    assert kinds["embedding"] == {"token_embedding.weight", "position_embedding.weight"}
    assert "halting.head.weight" in kinds["scalar"]
    assert all(parameter.ndim == 2 and min(parameter.shape) > 1 for parameter in groups[0]["params"])


@settings(max_examples=20, deadline=None, derandomize=True)
@given(frozen=st.sets(st.sampled_from([name for name, _ in SmallNet().named_parameters()])))
def test_frozen_parameters_and_empty_groups_are_left_out(frozen: set[str]) -> None:
    model = SmallNet()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    wanted = {name for name, _ in model.named_parameters()} - frozen
    if not wanted:
        with pytest.raises(InputError, match="SmallNet has no trainable parameter"):
            parameter_groups(model)
        return
    found = named(model)
    assert all(found.values())
    assert set().union(*found.values()) == wanted


def test_a_convolution_is_no_hidden_matrix() -> None:
    model = nn.Sequential(nn.Conv1d(4, 4, 3, bias=False), nn.Linear(4, 4, bias=False))
    assert named(model) == {"scalar": {"0.weight"}, "hidden": {"1.weight"}}
    with pytest.raises(InputError, match="Tanh has no trainable parameter"):
        parameter_groups(nn.Tanh())
