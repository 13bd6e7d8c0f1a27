"""A training step of every vector model: rate, operations and memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lvmcheck.testing.speed.kernels import GEMM, SQUARE_FLOPS, gemm
from lvmcheck.testing.speed.memory import PeakMemory
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, clock
from lvmcheck.testing.speed.turns import take_turns
from models import registry
from models.runtime.out_of_memory import report_out_of_memory
from models.runtime.parity import assert_matches_cpu
from models.runtime.session import reproducible
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent
from suites.throughput.loops import Loops, run_config

TITLE = "training step"
BATCHES = (32, 128, 512)
ROUNDS = {32: 5, 128: 3, 512: 3}
CHEAP = ("amn", "linear_mixture")  # the only models that are measured at the largest batch: others take seconds a step
SHARED = (
    "The vector trainer's whole step: mean squared error, clipped, AdamW; float32, 768 wide, context 5.",
    "MFLOP: operations a sample (products, convolutions, attention). MiB: parameters and what two steps add at their"
    " peak.",
)
ROWS = 32  # on which an accelerator is compared with the CPU
TURN = 0.05  # seconds that a turn of the trainer should take at least: the clock of a cheap step would be coarse


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("kind", registry.model_kinds(), indirect=True)
def test_training_step(benchmark: Any, kind: str, batch: int, place: Place, figures: Figures, tmp_path: Path) -> None:
    if batch != BATCHES[0] and not FULL:
        pytest.skip("only with LVM_THROUGHPUT=full")
    if batch == BATCHES[-1] and kind not in CHEAP and place.device.type == "cpu":
        pytest.skip("not on a CPU: a step takes seconds")
    where = f"suites/throughput, {kind}"
    with (
        reproducible(0, threads=place.threads),
        report_out_of_memory(where, batch, lambda size: prepared(kind, size, place, tmp_path)),
    ):
        loops, peak = prepared(kind, batch, place, tmp_path)
        flops, loops.steps = loops.flops(), how_many(loops)
        lanes = {GEMM: gemm(place.device)}
        turns = take_turns(benchmark, loops.trainer, lanes, rounds=ROUNDS[batch] if FULL else 2, warm=False)
    seconds = turns.seconds() / loops.steps
    of_gemm = turns.over(GEMM).inverse().times(flops * loops.steps / SQUARE_FLOPS)
    for line in SHARED:
        figures.say(TITLE, line)
    figures.add(
        TITLE,
        kind,
        str(batch),
        f"{batch / seconds:,.0f}",
        f"{seconds * 1e3:.1f}",
        f"{flops / batch / 1e6:.2f}",
        percent(of_gemm.median),
        "-" if peak is None else f"{peak / 2**20:.0f}",
    )
    comparable(
        benchmark,
        turns.over(GEMM).times(1 / loops.steps),
        calibration=GEMM,
        place=place,
        batch=batch,
        samples_per_s=batch / seconds,
        flops=flops,
        peak_bytes=peak,
    )


def prepared(kind: str, batch: int, place: Place, folder: Path) -> tuple[Loops, int | None]:
    """A model after two steps of that batch size, which make gradients and the optimizer's state, and the bytes of its
    parameters and of those steps at their peak. On an accelerator, its steps are the CPU's.
    """
    loops = Loops.make(run_config(batch, place, kind=kind), folder / str(batch), steps=1)
    if place.device.type != "cpu":
        assert_matches_cpu(loops.task.model, loops.context[:ROWS].cpu(), loops.target[:ROWS].cpu(), place.device)
    memory = PeakMemory(place.device)
    memory.start()
    for _ in range(2):
        loops.bare()
    added = memory.peak()
    return loops, None if added is None else added + sum(p.numel() * p.element_size() for p in loops.parameters)


def how_many(loops: Loops) -> int:
    """Steps that fill a turn."""
    began = clock()
    loops.trainer()
    return max(1, round(TURN / max(clock() - began, 1e-6)))
