"""What reporting every step costs: the same loop with and without the recorder."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from lvmcheck.run.directory import load
from lvmcheck.run.events import Window
from lvmcheck.testing.speed.kernels import GEMM, gemm
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, clock
from lvmcheck.testing.speed.turns import take_turns
from models.runtime.session import reproducible
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent, signed
from suites.throughput.loops import Loops, run_config

STEPS, WINDOW = {32: 10, 512: 2}, {32: 50, 512: 10}  # of a turn, and of a window of the recorder (suites: 50)
TURNS = 20 if FULL else 5  # a multiple of those that fill a window: the mean holds its cost in full
GOAL = 0.02


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", sorted(STEPS))
def test_recorder_cost(benchmark: Any, batch: int, cpu: Place, figures: Figures, tmp_path: Path) -> None:
    if batch != 32 and not FULL:
        pytest.skip("only with LVM_THROUGHPUT=full")
    steps = STEPS[batch]
    with reproducible(0, threads=1):
        loops = Loops.make(run_config(batch, cpu), tmp_path, steps=steps, window=WINDOW[batch])
        lanes = {"bare": loops.bare, GEMM: gemm(cpu.device)}
        turns = take_turns(benchmark, loops.recorded, lanes, rounds=TURNS - 1)
    loops.recorder.close("finished")
    said = load(tmp_path / "run").of(Window)
    assert sum(window.last_step - window.first_step + 1 for window in said) == loops.recorder.steps > 0

    inside = mean(loops.in_recorder) / turns.seconds("bare")
    figures.add(
        "recorder and judge",
        f"recorder, batch {batch}",
        f"{mean(loops.in_recorder) / steps * 1e6:.0f} us a step",
        f"{percent(inside)} of a bare step",
        f"time inside rec.step and rec.stop, windows of {WINDOW[batch]} steps (suites: 50)",
    )
    over = turns.over("bare").shifted(-1.0)
    figures.add(
        "recorder and judge",
        f"loop with the recorder, batch {batch}",
        f"{turns.seconds() / steps * 1e3:.2f} ms a step",
        f"{over.words(signed)} on the bare loop",
        f"{len(turns.subject)} turns of {steps} steps; a spread wider than the row above is the machine's",
    )
    figures.target(f"recorder, batch {batch}: <= {GOAL:.0%}, the judge included", percent(inside), inside <= GOAL)
    figures.numbers[f"recorder {batch}"] = inside
    comparable(
        benchmark,
        turns.over(GEMM).times(1 / steps),
        calibration=GEMM,
        place=cpu,
        batch=batch,
        samples_per_s=steps * batch / turns.seconds(),
        share=inside,
        ratio_to_bare=1.0 + over.median,
    )
