"""Training AMN against what the machine's own matrix products allow, and against the loop written bare."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from lvmcheck.testing.speed.kernels import GEMM, SQUARE_FLOPS, gemm
from lvmcheck.testing.speed.machine import physical_cores
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, clock
from lvmcheck.testing.speed.turns import Spread, Turns, take_turns
from models.runtime.session import reproducible
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent, signed
from suites.throughput.loops import Loops, run_config

TITLE = "AMN: the trainer over the loop written bare"
STEPS = {32: 8, 128: 4, 512: 2 if FULL else 1}  # of a turn: short, so that its neighbours see the same machine
FREE = 0.8  # of the cores' number: how much faster a product on all of them must be before anything is measured there
AS_WRITTEN = 11_403_264  # operations of a training sample as the original model is written (history 18)
GOALS = {1: {512: 0.70}, 2: {32: 0.45, 512: 0.80}}
"""Share of the GEMM rate by threads and batch: of the operations executed on one thread, as written on two."""


@dataclass(frozen=True)
class Measured:
    """One batch size: what took turns, and the operations and samples of a turn."""

    turns: Turns
    flops: int
    samples: int

    def share(self, loop: str) -> Spread:
        """Of the GEMM rate."""
        scale = self.flops / SQUARE_FLOPS
        if loop == "trainer":
            return self.turns.over(GEMM).inverse().times(scale)
        return self.turns.between(GEMM, loop).times(scale)

    def rate(self, loop: str) -> float:
        """Samples a second."""
        return self.samples / self.turns.seconds(None if loop == "trainer" else loop)


def measure(benchmark: Any, batch: int, place: Place, folder: Path) -> Measured:
    """The trainer in turns with the bare loop, a square product."""
    steps = STEPS[batch]
    with reproducible(0, threads=place.threads):
        loops = Loops.make(run_config(batch, place), folder, steps=steps)
        flops = loops.flops() * steps
        lanes = {GEMM: gemm(place.device), "bare": loops.bare}
        turns = take_turns(benchmark, loops.trainer, lanes, rounds=8 if FULL else 2)
    return Measured(turns, flops, steps * batch)


def asked(batch: int, place: Place) -> str:
    """The goal of a batch size in words."""
    threads = f"{place.threads} thread{'s' if place.threads > 1 else ''}"
    return f"AMN trained at batch {batch}, {threads}: >= {GOALS[place.threads][batch]:.0%} of GEMM"


def report(found: Measured, batch: int, place: Place, figures: Figures) -> Spread:
    """The rows of one batch size; returns the trainer's duration over the bare loop's."""
    gemm_rate = SQUARE_FLOPS / found.turns.seconds(GEMM) / 1e9
    over = found.turns.over("bare")
    figures.say(
        TITLE,
        f"{found.flops / found.samples / 1e6:.2f} MFLOP a sample are executed, {AS_WRITTEN / 1e6:.2f} as in the seeds' "
        "model; the trainer also draws, measures and records.",
    )
    for loop in ("bare", "trainer"):
        figures.add(
            TITLE,
            str(batch),
            str(place.threads),
            loop,
            f"{found.rate(loop):,.0f}",
            f"{found.share(loop).words(percent)} of {gemm_rate:.0f}",
            over.shifted(-1.0).words(signed) if loop == "trainer" else "",
        )
    goal = GOALS.get(place.threads, {}).get(batch)
    if goal is not None:
        share = found.share("trainer").median
        written = share * AS_WRITTEN * found.samples / found.flops
        judged = written if place.threads > 1 else share
        figures.target(
            asked(batch, place),
            percent(judged),
            judged >= goal,
            f"{found.rate('trainer'):,.0f}/s; {percent(share)} as executed, {percent(written)} as written",
        )
    return over


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", sorted(STEPS))
def test_training_rate(benchmark: Any, batch: int, place: Place, figures: Figures, tmp_path: Path) -> None:
    if batch == 128 and not FULL:
        pytest.skip("only with LVM_THROUGHPUT=full: it lies between the others")
    store(benchmark, measure(benchmark, batch, place, tmp_path), batch, place, figures)


@pytest.mark.usefixtures("timing", "cpu")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", [32, 512])
def test_training_rate_on_every_core(benchmark: Any, batch: int, figures: Figures, tmp_path: Path) -> None:
    every = Place(torch.device("cpu"), physical_cores())
    if not FULL or every.threads == 1:
        pytest.skip("only with LVM_THROUGHPUT=full, on more than one core")
    gain = speed_up(every)
    if gain < FREE * every.threads:
        why = f"the cores are not free: a product on all of them is {gain:.2f} times as fast as on one"
        if batch in GOALS.get(every.threads, {}):
            figures.add("targets", asked(batch, every), "-", "not measured", why)
        pytest.skip(why)
    store(benchmark, measure(benchmark, batch, every, tmp_path), batch, every, figures)


def speed_up(every: Place) -> float:
    """How much faster the square product is on all cores, by the clock, than on one, by CPU time; all stay in use."""
    one = gemm_seconds(every)
    torch.set_num_threads(every.threads)  # the fixture restores both
    clock.use(every)
    return one / gemm_seconds(every)


def gemm_seconds(place: Place) -> float:
    """Median duration of the square product, after a first one."""
    product, seconds = gemm(place.device), []
    for _ in range(10):
        began = clock()
        product()
        seconds.append(clock() - began)
    return median(seconds[1:])


def store(benchmark: Any, found: Measured, batch: int, place: Place, figures: Figures) -> None:
    """Rows and extra_info of one measurement."""
    over = report(found, batch, place, figures)
    comparable(
        benchmark,
        found.turns.over(GEMM).times(1 / STEPS[batch]),
        calibration=GEMM,
        place=place,
        batch=batch,
        samples_per_s=found.rate("trainer"),
        share_of_gemm=found.share("trainer").median,
        ratio_to_bare=over.median,
    )


@pytest.mark.parametrize(("as_written", "flops"), [(True, AS_WRITTEN), (False, 7_864_320)])
def test_the_operations_of_a_training_sample(as_written: bool, flops: int) -> None:
    """Counted from the equations: rows x in x out of each product, forward and for each gradient that is needed.

    As written in history 1 there is a key for each context vector, where the model here maps the query back to the
    width of the data; and a gradient of the mean of the data, which nothing needs.
    """
    wide, narrow, hidden = 768, 256, 512
    key = (5, wide, narrow, 2) if as_written else (1, narrow, wide, 3)
    baseline = (1, wide, hidden, 3 if as_written else 2)
    layers = [key, (1, wide, narrow, 2), baseline, (1, wide, hidden, 3), (1, hidden, narrow, 3), (1, narrow, wide, 3)]
    assert sum(2 * prod(layer) for layer in layers) == flops
