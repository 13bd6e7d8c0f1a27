"""Training state besides the weights: continues to the bit when whole, is refused when it is not."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lvmcheck.errors import InputError
from models.checkpoints.checkpoint import canonical
from models.checkpoints.state import (
    TrainingState,
    capture_optimizer,
    capture_random,
    pack,
    restore_optimizer,
    restore_random,
    unpack,
)
from models.lvm.amn import AMN

torch.set_num_threads(1)


def model(d_model: int = 4) -> AMN:
    torch.manual_seed(0)
    return AMN(input_dim=8, d_model=d_model, hidden_dim=6)


def contexts() -> Tensor:
    return torch.nn.functional.normalize(torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(1)), dim=-1)


def stepped(steps: int, fused: bool = True) -> tuple[AMN, torch.optim.AdamW]:
    net = model()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, fused=fused)
    for _ in range(steps):
        advance(net, optimizer)
    return net, optimizer


def advance(net: AMN, optimizer: torch.optim.AdamW) -> None:
    optimizer.zero_grad()
    net(contexts())[:, 0].sum().backward()
    optimizer.step()


@pytest.mark.parametrize("missing", [None, "exp_avg", "exp_avg_sq", "step"])
def test_optimizer_state_continues_bit_by_bit_and_only_when_whole(missing: str | None) -> None:
    net, optimizer = stepped(3)
    state = capture_optimizer(optimizer, net)
    other = model()
    other.load_state_dict(net.state_dict())
    fresh = torch.optim.AdamW(other.parameters(), lr=1e-2, fused=True)
    if missing is not None:
        kept = {key: value for key, value in state.tensors.items() if key != f"key.weight/{missing}"}
        with pytest.raises(InputError, match="got a part of it"):
            restore_optimizer(replace(state, tensors=kept), fresh, other)
        return
    restore_optimizer(state, fresh, other)
    advance(net, optimizer)
    advance(other, fresh)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_optimizer_state_of_something_else_is_refused() -> None:
    net, optimizer = stepped(1)
    state = capture_optimizer(optimizer, net)
    with pytest.raises(InputError, match="expected state of SGD, got 'AdamW'"):
        restore_optimizer(state, torch.optim.SGD(net.parameters(), lr=0.1), net)
    wide = model(d_model=5)
    with pytest.raises(InputError, match=r"expected \[5, 8\], got \[4, 8\]"):
        restore_optimizer(state, torch.optim.AdamW(wide.parameters()), wide)


def test_every_generator_continues() -> None:
    def draw() -> list[float]:
        return [float(torch.rand(())), random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn()]

    random.gauss(0, 1)
    np.random.randn()
    state = capture_random(torch.device("cpu"))
    stored = TrainingState(state.tensors, json.loads(canonical(state.values)))
    first = draw()
    draw()
    restore_random(stored, torch.device("cpu"))
    assert draw() == first
    for name in state.tensors:
        kept = {key: value for key, value in state.tensors.items() if key != name}
        with pytest.raises(InputError, match="random state cannot be restored"):
            restore_random(replace(state, tensors=kept), torch.device("cpu"))


def test_packed_parts_come_back_and_missing_ones_are_named() -> None:
    packed = pack(one=TrainingState({"x": torch.ones(2)}, {"v": 1}), two=TrainingState(values={"w": 2}))
    one = unpack(packed, "one")
    assert list(one.tensors) == ["x"]
    assert one.values == {"v": 1}
    assert unpack(packed, "two") == TrainingState({}, {"w": 2})
    with pytest.raises(InputError, match=r"state\.three: expected the training state 'three', got none"):
        unpack(packed, "three")
