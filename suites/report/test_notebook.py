"""A run at the end of a notebook's cell."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from pathlib import Path

import pytest

import lvmcheck
from lvmcheck.run.events import Window
from lvmcheck.run.view import Run, run_from

RUNS = Path(__file__).parents[2] / "fixtures" / "runs"


class Page(HTMLParser):
    """Tags that are open, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, _: object) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def shown(run: Run) -> Page:
    page = Page(run._repr_html_())
    assert not page.open
    assert page.tags <= {"div", "p", "b", "table", "tr", "th", "td"}
    return page


def test_a_recorded_failure_shows_metrics_findings_and_cause() -> None:
    page = shown(lvmcheck.load(RUNS / "amn_790k_attempt_2"))
    assert page.cells[0] == "amn_790k_attempt_2"
    assert {"val_cosine", "cause:", "fix:"} <= set(page.cells)
    assert any(cell.startswith("✗ ") for cell in page.cells)


def test_a_sound_run_shows_no_finding() -> None:
    page = shown(run_from({"val_loss": [1.0, 0.7, 0.55, 0.5], "train_loss": [1.1, 0.8, 0.6, 0.45]}))
    assert not any(cell.startswith(("✗", "!")) for cell in page.cells)
    assert "cause:" not in page.cells
    assert page.cells[page.cells.index("val_loss") + 1 :][:4] == ["█▄▂▁", "1", "0.5000", "4"]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a\x1b[31m", "a&b"])
def test_names_from_elsewhere_are_text(name: str) -> None:
    page = shown(run_from({name: [1.0, math.nan], "val_loss": [1.0, 0.9]}))
    assert "\x1b" not in "".join(page.cells)
    assert any(cell.startswith(name.replace("\x1b", "")[:1]) for cell in page.cells)


def test_a_run_without_epochs_or_anything_is_shown() -> None:
    steps = tuple(
        Window(
            epoch=1, first_step=1 + i, last_step=1 + i, t=float(i), loss_mean=1.0 / (1 + i), loss_min=0.1, loss_max=1.0
        )
        for i in range(3)
    )
    assert "step 3" in shown(Run(events=steps)).cells
    assert "table" not in shown(Run()).tags


def test_many_metrics_are_counted() -> None:
    assert "and 8 more metrics" in shown(run_from({f"m{i}": [1.0, 0.5] for i in range(20)})).cells
