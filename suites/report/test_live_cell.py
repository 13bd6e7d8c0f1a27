"""A cell that shows a run while it trains; IPython is stood in for by what is used of it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lvmcheck
from lvmcheck.errors import InputError
from suites.report.test_notebook import Page


class Cell:
    """What IPython hands out for a display that can be updated."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def display(self, shown: Any, *, display_id: bool) -> Cell:
        assert display_id
        self.drawn.append(shown._repr_html_())
        return self

    def update(self, shown: Any) -> None:
        self.drawn.append(shown._repr_html_())


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    made, package, module = Cell(), ModuleType("IPython"), ModuleType("IPython.display")
    module.display = made.display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return made


def test_a_run_is_drawn_until_it_has_ended(cell: Cell, tmp_path: Path) -> None:
    shown = lvmcheck.live(tmp_path / "mine", every=0.01)
    assert "waiting for" in cell.drawn[0]
    with lvmcheck.record(tmp_path / "mine", config={"epochs": 3}) as rec:
        for epoch in (1, 2, 3):
            rec.step(loss=1 / epoch)
            rec.epoch(epoch, val_loss=1.1 / epoch)
    assert shown.wait(20)
    assert shown.shown == len(cell.drawn) - 1
    assert "run finished at epoch 3 of 3" in "".join(Page(cell.drawn[-1]).cells)
    assert "val_loss" in cell.drawn[-1]


def test_it_can_be_stopped(cell: Cell, tmp_path: Path) -> None:
    shown = lvmcheck.live(tmp_path / "never", every=0.01)
    shown.stop()
    assert shown.wait(20)
    assert all("no run is recorded there yet" in text for text in cell.drawn)


@pytest.mark.usefixtures("cell")
def test_what_cannot_be_shown(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("epoch,loss\n1,1\n")
    with pytest.raises(InputError, match="expected a run directory"):
        lvmcheck.live(tmp_path / "log.csv")
    with pytest.raises(InputError, match="above 0"):
        lvmcheck.live(tmp_path / "mine", every=0)


def test_without_ipython_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(InputError, match="IPython"):
        lvmcheck.live(tmp_path / "mine")
