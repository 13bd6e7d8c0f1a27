"""What cannot be watched is refused in one line with the fix, and what is watched leaves nothing behind."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

import lvmcheck
from lvmcheck import InputError
from lvmcheck.watch.loaders import leak


def net() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 3) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()


def hooks(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Hooks that are there on a model, its parameters and its optimizer."""
    of_modules = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
    of_parameters = sum(len(p._backward_hooks or ()) for p in model.parameters())
    return (
        of_modules
        + of_parameters
        + sum(map(len, (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)))
    )


@pytest.mark.parametrize(
    ("case", "key"),
    [
        ("no parameters", "model"),
        ("no module", "model"),
        ("scripted", "model"),
        ("twice", "model"),
        ("other model", "optimizer"),
        ("no optimizer", "optimizer"),
        ("none", "optimizer"),
        ("every 0", "every"),
    ],
)
def test_bad_input_is_one_line(case: str, key: str) -> None:
    model, optimizer = net()
    if case == "twice":
        first = lvmcheck.watch(model, optimizer)
    arguments = {
        "no parameters": (nn.ReLU(), optimizer),
        "no module": ([1.0], optimizer),
        "twice": (model, optimizer),
        "other model": (model, net()[1]),
        "no optimizer": (model, model),
        "none": (model, []),
        "every 0": (model, optimizer),
    }
    if case == "scripted":
        with pytest.warns(DeprecationWarning, match="jit"):
            scripted = torch.jit.script(model)
        arguments[case] = (scripted, torch.optim.SGD(scripted.parameters(), lr=0.1))
    with pytest.raises(InputError) as caught:
        lvmcheck.watch(*arguments[case], every=0 if case == "every 0" else "auto")
    assert caught.value.key == key
    assert caught.value.where == __file__
    assert "\n" not in str(caught.value)
    if case == "twice":
        first.close()
        lvmcheck.watch(model, optimizer).close()


def test_nothing_stays_behind() -> None:
    model, optimizer = net()
    before = hooks(model, optimizer)
    with lvmcheck.watch(model, optimizer) as watcher:
        assert hooks(model, optimizer) > before
        train(model, optimizer)
    assert watcher.closed
    assert hooks(model, optimizer) == before
    watcher.close()


def test_an_exception_in_the_loop_leaves_nothing_behind(tmp_path: Path) -> None:
    model, optimizer = net()
    before = hooks(model, optimizer)

    def loop() -> None:
        with lvmcheck.record(tmp_path / "run") as rec:
            rec.watch(model, optimizer)
            train(model, optimizer, 1)
            model(torch.randn(8, 4))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop()
    assert hooks(model, optimizer) == before
    assert lvmcheck.load(tmp_path / "run").done is not None
    lvmcheck.watch(model, optimizer).close()


def test_the_numbers_of_a_training_stay_the_same() -> None:
    results = []
    for watched in (False, True):
        torch.manual_seed(0)
        model, optimizer = net()
        if watched:
            lvmcheck.watch(model, optimizer)
        train(model, optimizer, 20)
        results.append([p.detach().clone() for p in model.parameters()] + [torch.rand(3)])
    for plain, other in zip(*results, strict=True):
        assert torch.equal(plain, other)


def test_a_forgotten_head_in_three_lines(capfd: pytest.CaptureFixture[str]) -> None:
    """It is one line as soon as the loss is known to have a gradient for the head."""
    model = nn.Sequential(OrderedDict(body=nn.Linear(4, 8), head=nn.Linear(8, 2)))
    optimizer = torch.optim.Adam(model.body.parameters())
    watcher = lvmcheck.watch(model, optimizer)
    train(model, optimizer, 1)
    (line,) = capfd.readouterr().err.splitlines()
    assert "head.weight, head.bias" in line
    assert [verdict.check for verdict in watcher.verdicts] == ["missing_from_optimizer"]


def test_every_nth_step() -> None:
    model, optimizer = net()
    with lvmcheck.watch(model, optimizer, every=5) as watcher:
        seen = []
        for _ in range(20):
            seen.append(watcher.sampling)
            train(model, optimizer, 1)
    assert [i for i, sampled in enumerate(seen) if sampled] == [0, 5, 10, 15]


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    """Rows without a length, as a loader over a stream has none."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(zip(torch.randn(64, 4), torch.randn(64, 2), strict=True))


def test_a_loader_over_a_stream_has_no_length() -> None:
    model, optimizer = net()
    with lvmcheck.watch(model, optimizer, train=DataLoader(Stream(), 16)) as watcher:
        assert watcher.train is not None
        for inputs, targets in watcher.train:
            optimizer.zero_grad()
            (model(inputs) - targets).square().mean().backward()
            optimizer.step()
    assert watcher.step == 4
    assert watcher.verdicts == ()
    assert len(watcher.train.rows) == 64


@pytest.mark.parametrize("loss", ["sum", "classes"])
def test_no_output_outlives_its_step(loss: str) -> None:
    """What a hook of an output holds is not the output itself: that cycle would keep it until Python collects."""
    model, optimizer = net()
    kept, targets = [], torch.randint(2, (8,))
    gc.collect()
    gc.disable()
    try:
        with lvmcheck.watch(model, optimizer, every=1):
            for _ in range(10):
                optimizer.zero_grad()
                output = model(torch.randn(8, 4))
                kept.append(ref(output))
                (output.square().sum() if loss == "sum" else F.cross_entropy(output, targets)).backward()
                optimizer.step()
            del output
            assert [found() for found in kept] == [None] * 10
    finally:
        gc.enable()


def test_modules_that_cannot_be_read_are_no_copies() -> None:
    """When copies are looked for, there are half-made, lazy and empty modules in the process."""
    model, optimizer = net()
    others = [nn.Linear.__new__(nn.Linear), nn.LazyLinear(8), nn.Linear(4, 8, device="meta")]
    with lvmcheck.watch(model, optimizer, every=1) as watcher:
        train(model, optimizer, 10)
    assert len(others) == 3
    assert not watcher.verdicts


def test_rows_that_repeat_are_estimated_for_all_that_were_seen() -> None:
    """Ids drawn from 1,000 cells, a fifth of a pass looked at in each of five: what repeats is that of all rows."""
    draw = torch.Generator().manual_seed(0)
    parts = torch.randint(0, 1_000, (5, 200), generator=draw).tolist()
    train: Any = SimpleNamespace(rows=set(), repeated=0, counted=0, passes=0)
    val: Any = SimpleNamespace(rows=set(range(1_000)))
    for part in parts:
        train.passes += 1
        train.counted += len(part)
        train.repeated += len(part) - len(set(part))
        train.rows |= set(part)
    found = leak(train, val)
    assert found["in_train"] / found["rows"] < 3 * found["repeated"]
    assert found["repeated"] < 1
    train.passes, train.counted = 1, len(train.rows)
    train.repeated = 0
    assert leak(train, val)["repeated"] == 0
