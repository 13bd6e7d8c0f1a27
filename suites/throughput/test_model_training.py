"""A training step of every vector model: rate, operations and bytes, which ceiling binds it, memory and energy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models import registry
from models.runtime.out_of_memory import enough
from models.runtime.parity import assert_matches_cpu
from models.runtime.session import reproducible
from suites.throughput.ceilings import GEMM, SQUARE_FLOPS, Ceilings, gemm
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent
from suites.throughput.interleave import Turns, take_turns
from suites.throughput.loops import Loops, run_config
from suites.throughput.machine import UNKNOWN
from suites.throughput.operations import Traffic
from suites.throughput.resources import Energy, PeakMemory
from suites.throughput.results import comparable
from suites.throughput.stopwatch import Place, clock

TITLE = "training step"
BATCHES = (32, 128, 512)
ROUNDS = {32: 5, 128: 3, 512: 3}
CHEAP = ("amn", "linear_mixture")  # the only models that are measured at the largest batch: others take seconds a step
SHARED = (
    "The vector trainer's whole step: mean squared error, clipped, AdamW; float32, 768 wide, context 5.",
    "MFLOP: operations a sample (products, convolutions, attention). MB: bytes that a step must move (parameters twice,"
    " gradients four times, AdamW seven passes, activations twice). Of bound: the time that the binding ceiling"
    " needs, over the time taken. MiB: parameters and what two steps add at their peak. J: joules a step.",
)
ROWS = 32  # on which an accelerator is compared with the CPU
TURN = 0.05  # seconds that a turn of the trainer should take at least: the clock of a cheap step would be coarse


@dataclass(frozen=True)
class Cost:
    """What one training step of one batch costs beside its time: operations, bytes, memory."""

    flops: int
    traffic: Traffic
    peak: int | None

    @classmethod
    def of(cls, loops: Loops) -> Cost:
        """Counted, and two steps taken: the first makes gradients and the optimizer's state."""
        memory = PeakMemory(loops.task.device)
        memory.start()
        for _ in range(2):
            loops.bare()
        added = memory.peak()
        parameters = sum(p.numel() * p.element_size() for p in loops.parameters)
        return cls(loops.flops(), loops.traffic(), None if added is None else added + parameters)


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("kind", registry.model_kinds(), indirect=True)
def test_training_step(
    benchmark: Any, kind: str, batch: int, place: Place, ceilings: Ceilings, figures: Figures, tmp_path: Path
) -> None:
    if batch != BATCHES[0] and not FULL:
        pytest.skip("only with LVM_THROUGHPUT=full")
    if batch == BATCHES[-1] and kind not in CHEAP and place.device.type == "cpu":
        pytest.skip("not on a CPU: a step takes seconds")
    where = f"suites/throughput, {kind}"
    with (
        reproducible(0, threads=place.threads),
        enough(where, batch, lambda size: prepared(kind, size, place, tmp_path)),
    ):
        loops, cost = prepared(kind, batch, place, tmp_path)
        loops.steps = how_many(loops)
        energy = Energy(place.device)
        turns = take_turns(
            benchmark, loops.trainer, {GEMM: gemm(place.device)}, rounds=ROUNDS[batch] if FULL else 2, warm=False
        )
    report(figures, kind, loops, turns, cost, ceilings, energy)
    comparable(
        benchmark,
        turns.over(GEMM).times(1 / loops.steps),
        calibration=GEMM,
        place=place,
        batch=batch,
        samples_per_s=batch * loops.steps / turns.seconds(),
        flops=cost.flops,
        bytes=cost.traffic.total,
        peak_bytes=cost.peak,
    )


def prepared(kind: str, batch: int, place: Place, folder: Path) -> tuple[Loops, Cost]:
    """A model that has taken its first steps at that batch size; on an accelerator, steps that are the CPU's."""
    loops = Loops.make(run_config(batch, place, kind=kind), folder / str(batch), steps=1)
    if place.device.type != "cpu":
        assert_matches_cpu(loops.task.model, loops.context[:ROWS].cpu(), loops.target[:ROWS].cpu(), place.device)
    return loops, Cost.of(loops)


def how_many(loops: Loops) -> int:
    """Steps that fill a turn."""
    began = clock()
    loops.trainer()
    return max(1, round(TURN / max(clock() - began, 1e-6)))


def report(
    figures: Figures, kind: str, loops: Loops, turns: Turns, cost: Cost, ceilings: Ceilings, energy: Energy
) -> None:
    """One row."""
    seconds, share = turns.seconds() / loops.steps, turns.over(GEMM).inverse()
    of_gemm = share.times(cost.flops * loops.steps / SQUARE_FLOPS)
    bound, least = ceilings.bound(cost.flops, cost.traffic.total, cost.traffic.held)
    joules = energy.lap()
    told = f"Energy: {UNKNOWN}." if joules is None else "Energy is the whole device's, the square products included."
    for line in (*SHARED, told):
        figures.say(TITLE, line)
    figures.add(
        TITLE,
        kind,
        str(loops.size),
        f"{loops.size / seconds:,.0f}",
        f"{seconds * 1e3:.1f}",
        f"{cost.flops / loops.size / 1e6:.2f}",
        percent(of_gemm.median),
        f"{cost.traffic.total / 1e6:,.0f}",
        bound,
        percent(least / seconds),
        "-" if cost.peak is None else f"{cost.peak / 2**20:.0f}",
        "-" if joules is None else f"{joules / (loops.steps * len(turns.subject)):.3g}",
    )
