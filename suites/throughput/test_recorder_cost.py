"""What reporting every step costs: the same loop with and without the recorder."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from lvmcheck.events import Window
from lvmcheck.rundir import load
from models.trainers.session import reproducible
from suites.throughput.amn_loop import Loops
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent, signed
from suites.throughput.interleave import clock, take_turns

STEPS, WINDOW = {32: 10, 512: 2}, {32: 50, 512: 10}  # of a turn, and of a window of the recorder (suites: 50)
TURNS = 10  # a multiple of the turns that fill a window, so that their mean holds a window's cost in full
GOAL = 0.02


@pytest.mark.usefixtures("timing", "one_thread")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize("batch", sorted(STEPS))
def test_recorder_cost(benchmark: Any, batch: int, figures: Figures, tmp_path: Path) -> None:
    steps = STEPS[batch]
    with reproducible(0, threads=1):
        loops = Loops.make(batch, tmp_path, steps=steps, window=WINDOW[batch])
        turns = take_turns(benchmark, loops.recorded, {"bare": loops.bare}, rounds=(4 * TURNS if FULL else TURNS) - 1)
    loops.recorder.close("finished")
    said = load(tmp_path / "run").of(Window)
    assert sum(window.last_step - window.first_step + 1 for window in said) == loops.recorder.steps > 0

    inside = mean(loops.in_recorder) / turns.seconds("bare")
    figures.add(
        f"recorder, batch {batch}",
        f"{mean(loops.in_recorder) / steps * 1e6:.0f} us a step",
        target=f"<= {GOAL:.0%}, of which this is a part",
        met=inside <= GOAL,
        ratio=f"{percent(inside)} of a bare step",
        note=f"time inside rec.step and rec.stop, windows of {WINDOW[batch]} steps (suites: 50)",
    )
    over = turns.over("bare").shifted(-1.0)
    figures.add(
        f"loop with the recorder over the bare loop, batch {batch}",
        f"{turns.seconds() / steps * 1e3:.2f} ms a step",
        ratio=over.words(signed),
        note=f"{len(turns.subject)} turns of {steps} steps; a spread wider than the figure above is the machine's",
    )
    figures.numbers[f"recorder {batch}"] = inside
    figures.numbers[f"step {batch}"] = turns.seconds("bare") / steps
    benchmark.extra_info.update(
        device="cpu", dtype="float32", batch=batch, threads=1, samples_per_s=steps * batch / turns.seconds()
    )
    benchmark.extra_info.update(share=inside, floor=GOAL, ratio_to_bare=1.0 + over.median)
