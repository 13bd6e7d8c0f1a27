"""Watching changes nothing: the same weights bit for bit, the same random numbers, and nothing left behind."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lvmcheck
from lvmcheck.run.events import Watch
from lvmcheck.watch.collectors import movement, outputs
from lvmcheck.watch.guard import STRICT
from suites.watch.steps import learn
from suites.watch.untouched import LOOPS, net, plain

FULL = os.environ.get("LVM_RELIABILITY") == "full"
STEPS = 100 if FULL else 24
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_load_state_dict_pre_hooks", "_state_dict_hooks")


@contextmanager
def unwatched(*_: Any, **__: Any) -> Iterator[None]:
    """In place of ``lvmcheck.watch``."""
    yield


def weights(loop: str, steps: int, *, watched: bool) -> tuple[dict[str, torch.Tensor], torch.Tensor, nn.Module]:
    """What a loop ends with: weights and buffers, the next random number, and its model."""
    torch.manual_seed(0)
    model = LOOPS[loop](lvmcheck.watch if watched else unwatched, steps)
    return {name: value.clone() for name, value in model.state_dict().items()}, torch.rand(8), model


def left(model: nn.Module) -> list[str]:
    """Hooks of modules and parameters."""
    found = [f"{name}.{kind}" for name, m in model.named_modules() for kind in HOOKS if getattr(m, kind)]
    return found + [name for name, p in model.named_parameters() if p._backward_hooks]


@pytest.mark.parametrize("loop", LOOPS)
def test_it_trains_as_if_nobody_watched(loop: str, capfd: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    plain, after, bare = weights(loop, STEPS, watched=False)
    watched, as_well, model = weights(loop, STEPS, watched=True)
    assert plain.keys() == watched.keys()
    assert [name for name in plain if not torch.equal(plain[name], watched[name])] == []
    assert torch.equal(after, as_well), "random numbers"
    if loop != "copied_and_saved":  # in copies something stands in place of the hooks, and does nothing
        assert left(model) == left(bare)
    assert torch.overrides._get_current_function_mode_stack() == []
    assert not torch.nn.modules.module._global_forward_pre_hooks
    assert torch.is_grad_enabled()
    assert "stopped looking" not in capfd.readouterr().err


def test_nothing_keeps_what_was_watched(tmp_path: Path) -> None:
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with lvmcheck.record(tmp_path / "run") as rec:
        plain(model, optimizer, rec.watch, 10)
    kept = weakref.ref(model), weakref.ref(optimizer)
    del model, optimizer, rec
    gc.collect()
    assert [ref() for ref in kept] == [None, None]


@pytest.mark.own_process
@pytest.mark.parametrize("where", ["collector", "hook", "reading"])
def test_what_goes_wrong_in_watching_stays_there(
    where: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.delenv(STRICT, raising=False)
    place, name = {
        "collector": (movement.MovementCollector, "before_step"),
        "hook": (outputs.OutputsCollector, "_loss"),
        "reading": (movement.MovementCollector, "_reached"),
    }[where]
    monkeypatch.setattr(place, name, broken)
    bare = weights("dropout", 24, watched=False)[0]
    watched = weights("dropout", 24, watched=True)[0]
    assert all(torch.equal(bare[name], watched[name]) for name in bare)
    assert capfd.readouterr().err.count("stopped looking: ZeroDivisionError") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_says_nothing(tmp_path: Path) -> None:
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with lvmcheck.record(tmp_path / "run") as rec:
        rec.watch(model, optimizer, every=1)
        plain(model, optimizer, unwatched, 2)
        child = os.fork()
        if not child:
            plain(model, optimizer, unwatched, 5)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        told = {event.step for event in lvmcheck.load(tmp_path / "run").of(Watch)}
    assert max(told) <= 3


def test_hooks_of_parameters_run_once_a_step(tmp_path: Path) -> None:
    """What is asked of a penalty by itself runs no code of the loop."""
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    calls = dict.fromkeys((name for name, _ in model.named_parameters()), 0)

    def counting(name: str) -> Callable[[Tensor], None]:
        def count(_: Tensor) -> None:
            calls[name] += 1

        return count

    for name, parameter in model.named_parameters():
        parameter.register_hook(counting(name))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with lvmcheck.record(tmp_path / "run") as rec:
        for _ in range(20):
            penalty = sum((p.square().sum() for p in model.parameters()), torch.zeros(()))
            loss = model(torch.randn(16, 8)).square().mean() + 0.01 * penalty
            learn(rec, optimizer, loss)
    assert set(calls.values()) == {20}
