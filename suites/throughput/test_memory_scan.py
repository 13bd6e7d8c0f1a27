"""The long-term memory as two scans, beside the same memory as a loop over time: forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.cognate.layout import Layout, lay_out
from models.cognate.memory import WIDTH, LongTermMemory, surprise
from models.cognate.specialisation import Specialisation, specialisation
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures
from suites.throughput.interleave import Lane, clock, take_turns

LENGTH, WIDE, MEMORY = 512, 256, 128  # the seeds' model
GOAL = 20.0


def by_step(module: LongTermMemory, y: Tensor, habit: Specialisation) -> Tensor:
    """What is read [B, T, d], one step of time after the other for all rows at once, as the ancestors did it."""
    content = module.down(y)
    held = usual = content.new_zeros(len(y), module.width)
    fill = content.new_zeros(len(y), 1)
    keep = 1.0 / habit.memory_capacity
    reads = []
    for c in content.unbind(dim=1):
        write = ((surprise(c, usual) - habit.surprise_threshold) / WIDTH).sigmoid().unsqueeze(1)
        rate = write * keep
        held = held + rate * (c - held)
        fill = fill + rate * (1.0 - fill)
        usual = usual + keep * (c - usual)
        reads.append(held / fill)
    found: Tensor = module.up(torch.stack(reads, dim=1))
    return found


def by_scan(module: LongTermMemory, y: Tensor, habit: Specialisation, layout: Layout) -> Tensor:
    """The same as the model does it."""
    read: Tensor = module(y, layout, habit, None).read
    return read


def lane(read: Any, module: LongTermMemory, y: Tensor, *rest: Any) -> Lane:
    """One reading and its gradients as a function of no argument."""

    def run() -> None:
        module.zero_grad()
        y.grad = None
        read(module, y, *rest).sum().backward()

    return run


def parts(batch: int) -> tuple[LongTermMemory, Tensor, Specialisation, Layout]:
    """Everything at the widths of the seeds' model."""
    torch.manual_seed(0)
    layout = lay_out(torch.zeros(batch, LENGTH), None, None, window=1024, longest=LENGTH)
    y = torch.randn(batch, LENGTH, WIDE, requires_grad=True)
    return LongTermMemory(WIDE, MEMORY), y, specialisation("reasoning"), layout


def test_both_read_the_same() -> None:
    module, y, habit, layout = parts(2)
    torch.testing.assert_close(by_scan(module, y, habit, layout), by_step(module, y, habit), rtol=0.0, atol=1e-5)


@pytest.mark.usefixtures("timing", "one_thread")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", [1, 8])
def test_the_scan_beside_the_loop(benchmark: Any, batch: int, figures: Figures) -> None:
    module, y, habit, layout = parts(batch)
    scanned = lane(by_scan, module, y, habit, layout)
    repeats = 8
    turns = take_turns(
        benchmark,
        lambda: [scanned() for _ in range(repeats)],
        {"loop": lane(by_step, module, y, habit)},
        rounds=20 if FULL else 3,
    )
    faster = turns.over("loop").times(1.0 / repeats).inverse()
    figures.add(
        f"Cognate's memory at length {LENGTH}, {batch} rows",
        f"{turns.seconds() / repeats * 1e3:.2f} ms",
        ratio=f"{faster.words('{:.0f}'.format)} times faster than the loop over time",
        note=f"forward and backward, d {WIDE}, d_mem {MEMORY}, float32, CPU time, one thread",
        target=f">= {GOAL:.0f} times",
        met=faster.median >= GOAL,
    )
    benchmark.extra_info.update(device="cpu", dtype="float32", batch=batch, threads=1, ratio=faster.median)
