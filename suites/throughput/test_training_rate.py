"""Training AMN against what the machine's own matrix products allow, and against the loop written bare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.losses import mse
from models.lvm.amn import AMN
from models.trainers.session import reproducible
from suites.throughput.amn_loop import Loops, attention_flops, linear_flops
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent, signed
from suites.throughput.interleave import Spread, Turns, clock, take_turns

SIDE = 1024  # of the big square product, whose rate is taken for the machine's best
SQUARE_FLOPS = 2 * SIDE**3
STEPS = {32: 8, 128: 4, 512: 2}  # steps of a turn: short, so that a turn and its neighbours see the same machine
GOAL, GOAL_BATCH = 0.70, 512


def square() -> Callable[[], torch.Tensor]:
    """One big product as a function of no argument."""
    a, b, out = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE), torch.empty(SIDE, SIDE)
    return lambda: torch.mm(a, b, out=out)


@pytest.mark.parametrize("context", [1, 5])
def test_the_operations_counted_are_those_that_torch_counts(context: int) -> None:
    model, x, target = AMN(), torch.randn(8, context, 768), torch.randn(8, 768)
    with FlopCounterMode(display=False) as counter:
        raw, _ = model(x, return_raw=True)
        mse(raw, target).backward()  # type: ignore[no-untyped-call]
    ours = linear_flops(model, 8, context) + attention_flops(model, 8, context)
    assert ours == counter.get_total_flops()
    assert attention_flops(model, 8, context) < 0.005 * ours  # what the share of the GEMM rate leaves out


def test_a_training_sample_costs_the_operations_of_the_seeds_model_less_what_one_key_saves() -> None:
    assert linear_flops(AMN(), 1, 5, as_written=True) == 11_403_264  # 11.4 MFLOP at 768, 256, 512 (facts E6)
    assert linear_flops(AMN(), 1, 5) == 8_650_752


@pytest.mark.usefixtures("timing", "one_thread")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", sorted(STEPS))
def test_training_rate(benchmark: Any, batch: int, figures: Figures, tmp_path: Path) -> None:
    if batch == 128 and not FULL:
        pytest.skip("only with LVM_THROUGHPUT=full: it lies between the others")
    steps = STEPS[batch]
    with reproducible(0, threads=1):
        loops = Loops.make(batch, tmp_path, steps=steps)
        lanes = {"square": square(), "products": loops.products(), "bare": loops.bare}
        turns = take_turns(benchmark, loops.trainer, lanes, rounds=24 if FULL else 3)
    work = linear_flops(cast(AMN, loops.learner.model), batch, loops.windows.context) * steps
    per_sample = work / (steps * batch)
    scale = work / SQUARE_FLOPS
    bare = turns.between("square", "bare").times(scale), turns.between("products", "bare")
    trainer = turns.over("square").inverse().times(scale), turns.over("products").inverse()
    own_rate = work / turns.seconds("products") / 1e9
    for what, seconds, (of_best, of_own) in (
        ("bare loop", turns.seconds("bare"), bare),
        ("vector trainer", turns.seconds(), trainer),
    ):
        figures.add(
            f"AMN training, batch {batch}, {what}",
            f"{steps * batch / seconds:,.0f} samples/s",
            ratio=f"{of_best.words(percent)} of {SQUARE_FLOPS / turns.seconds('square') / 1e9:.0f} GFLOP/s",
            note=f"{per_sample / 1e6:.2f} MFLOP a sample; {percent(of_own.median)} of its shapes' {own_rate:.0f}",
            **(goal(of_best) if batch == GOAL_BATCH else {}),
        )
    added = report_overhead(figures, turns, batch, steps)
    benchmark.extra_info.update(
        device="cpu", dtype="float32", batch=batch, threads=1, samples_per_s=steps * batch / turns.seconds()
    )
    benchmark.extra_info.update(share_of_gemm=trainer[0].median, floor=GOAL, ratio_to_bare=1.0 + added.median)


def goal(share: Spread) -> dict[str, Any]:
    """The target of the batch size that has one."""
    return {"target": f">= {GOAL:.0%} of the GEMM rate", "met": share.median >= GOAL}


def report_overhead(figures: Figures, turns: Turns, batch: int, steps: int) -> Spread:
    """What the whole trainer adds to the loop written bare."""
    added = turns.over("bare").shifted(-1.0)
    figures.add(
        f"vector trainer over the bare loop, batch {batch}",
        f"{turns.seconds() / steps * 1e3:.2f} ms a step",
        ratio=added.words(signed),
        note="draws batches, metrics, recorder; bare: one batch held, nothing read",
    )
    return added
