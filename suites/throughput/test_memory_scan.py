"""The long-term memory as two scans, beside the same memory as a loop over time: forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lvmcheck.testing.speed.step import StepBenchmark
from lvmcheck.testing.speed.stopwatch import Place
from lvmcheck.testing.speed.turns import Lane
from models.cognate.layout import lay_out
from models.cognate.memory import WIDTH, remember, surprise
from models.cognate.specialisation import Specialisation, get_specialisation
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures

LENGTH, MEMORY = 512, 128  # of the original model
GOAL, GOAL_ROWS = 20.0, 1
SPECIALISATION = get_specialisation("reasoning")


def by_step(content: Tensor, specialisation: Specialisation = SPECIALISATION) -> Tensor:
    """What is known [B, T, d_mem], one step of time after the other for all rows at once, as the original project did
    it."""
    held = usual = torch.zeros_like(content[:, 0])
    fill = held[:, :1]
    keep = 1.0 / specialisation.memory_capacity
    known = []
    for c in content.unbind(dim=1):
        write = ((surprise(c, usual) - specialisation.surprise_threshold) / WIDTH).sigmoid().unsqueeze(1)
        rate = write * keep
        held = held + rate * (c - held)
        fill = fill + rate * (1.0 - fill)
        usual = usual + keep * (c - usual)
        known.append(held / fill)
    return torch.stack(known, dim=1)


def by_scan(content: Tensor) -> Tensor:
    """The same as the model does it."""
    layout = lay_out(content[..., 0], None, None, window=2 * LENGTH, longest=LENGTH)
    known, _, _ = remember(content, layout, SPECIALISATION, None)
    return known


def lane(know: Callable[[Tensor], Tensor], content: Tensor) -> Lane:
    """The memory of one batch and its gradient as a function of no argument."""

    def run() -> None:
        content.grad = None
        know(content).sum().backward()  # type: ignore[no-untyped-call]

    return run


def contents(rows: int) -> Tensor:
    """[rows, LENGTH, MEMORY]."""
    return torch.randn(rows, LENGTH, MEMORY, generator=torch.Generator().manual_seed(0)).requires_grad_()


def test_both_know_the_same() -> None:
    content = contents(2)
    torch.testing.assert_close(by_scan(content), by_step(content), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("rows", [GOAL_ROWS, 8] if FULL else [GOAL_ROWS])
def test_the_scan_beside_the_loop(step_benchmark: StepBenchmark, rows: int, cpu: Place, figures: Figures) -> None:
    content = contents(rows)
    speed = step_benchmark(
        lane(by_scan, content),
        items=rows * LENGTH,
        beside={"loop": lane(by_step, content)},
        rounds=20 if FULL else 1,
        warm_up=1,
    )
    faster = speed.over["loop"].inverse()
    figures.say("Cognate", f"float32, {cpu.words()}")
    figures.add(
        "Cognate",
        f"memory, {rows} x {LENGTH} tokens",
        f"{speed.seconds.median * 1e3:.2f} ms",
        f"{faster.words('{:.0f}'.format)} times the loop over time",
        f"forward and backward, d_mem {MEMORY}, without the maps to and from it",
    )
    if rows == GOAL_ROWS:
        asked = f"Cognate's memory, {rows} x {LENGTH}: >= {GOAL:.0f} times the loop over time"
        figures.target(asked, f"{faster.median:.0f} times", faster.median >= GOAL)
