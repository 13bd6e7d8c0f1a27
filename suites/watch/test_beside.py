"""Loops that do something beside training end the same, watched by default or not, and nothing is said of them."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules import module as modules

import lvmcheck
from lvmcheck.run.events import Note
from lvmcheck.watch.found import MOST
from suites.watch.beside import LOOPS, ROWS, adam, batches, descend, net
from suites.watch.test_untouched import left


def plain(value: Any) -> Any:
    """Tensors and modules as numbers."""
    if isinstance(value, nn.Module):
        return {name: tensor.tolist() for name, tensor in value.state_dict().items()}
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.own_process
@pytest.mark.filterwarnings("error", "ignore:.*torch.jit")
@pytest.mark.parametrize("loop", LOOPS)
def test_it_ends_as_if_nobody_watched(loop: str, tmp_path: Path) -> None:
    ends, recorders = [], []
    for watch in (True, False):
        torch.manual_seed(0)

        def record(watch: bool = watch) -> Any:
            recorders.append(lvmcheck.record(tmp_path / str(watch), watch=watch))
            return recorders[-1]

        found = LOOPS[loop](record)
        ends.append([plain(found), torch.rand(4).tolist(), left(found[0]), len(modules._global_forward_pre_hooks)])
        assert torch.overrides._get_current_function_mode_stack() == []  # type: ignore[no-untyped-call]
    assert ends[0] == ends[1]
    assert recorders[0].watchers
    assert [finding.check for finding in recorders[0].findings] == []
    notes = [event.text for event in lvmcheck.load(tmp_path / "True").of(Note)]
    assert not [text for text in notes if "stopped looking" in text]


def test_an_optimizer_that_takes_the_place_of_another_is_watched(tmp_path: Path) -> None:
    model = net()
    with lvmcheck.record(tmp_path / "run") as rec:
        for _ in range(2):
            optimizer = adam(model)
            for rows, labels in batches(12):
                descend(nn.functional.cross_entropy(model(rows), labels), optimizer)
        assert rec.watchers[-1].slots[0].optimizer is optimizer
    assert [watcher.step for watcher in rec.watchers] == [12, 9]


def test_models_of_a_search_are_not_kept(tmp_path: Path) -> None:
    seen: list[Any] = []
    with lvmcheck.record(tmp_path / "run") as rec:
        for _ in range(MOST + 2):
            model = net()
            optimizer = adam(model)
            seen.append(weakref.ref(model))
            for rows, labels in batches(ROWS):
                descend(nn.functional.cross_entropy(model(rows), labels), optimizer)
        gc.collect()
        assert sum(ref() is not None for ref in seen) <= 3
    assert len(rec.watchers) == MOST
    assert any(str(MOST) in event.text for event in lvmcheck.load(tmp_path / "run").of(Note))
