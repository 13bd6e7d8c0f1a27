"""What judging costs: every check on a run of many windows, and a diagnosis from the command line."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest

import lvmcheck
from lvmcheck.checks.finding import Status
from lvmcheck.checks.protocol import Check, evaluate
from lvmcheck.run.bounded import BoundedFollower
from lvmcheck.run.view import Run
from lvmcheck.suite.looks import Looks, questions_of
from lvmcheck.testing.speed.kernels import GEMM, gemm
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, clock
from lvmcheck.testing.speed.turns import Spread, take_turns
from suites.throughput import commands
from suites.throughput.commands import ROOT
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures
from suites.throughput.long_run import a_run, every_check

WINDOWS = 100_000 if FULL else 20_000


def judged(run: Run, checks: list[Check]) -> None:
    """Judges a run, and holds that it was really judged."""
    verdicts = evaluate(run, checks)
    assert sum(verdict.status is Status.PASSED for verdict in verdicts) >= 8
    assert not [v.check for v in verdicts if v.outcome.reason.startswith("the check itself crashed")]


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
def test_judging_a_long_run(benchmark: Any, cpu: Place, figures: Figures) -> None:
    checks, rounds = every_check(), 3 if FULL else 1
    judged(a_run(WINDOWS // 2), checks)
    runs = {windows: iter([a_run(windows) for _ in range(rounds + 1)]) for windows in (WINDOWS // 2, WINDOWS)}
    lanes = {"half": lambda: judged(next(runs[WINDOWS // 2]), checks), GEMM: gemm(cpu.device)}
    turns = take_turns(benchmark, lambda: judged(next(runs[WINDOWS]), checks), lanes, rounds=rounds, warm=False)
    whole = turns.seconds()
    figures.add(
        "recorder and judge",
        f"judging {WINDOWS:,} windows",
        f"{whole:.2f} s",
        f"{turns.over('half').median:.2f} times half as many",
        f"{len(checks)} checks, {1e6 * whole / WINDOWS:.1f} µs a window",
    )
    comparable(
        benchmark,
        turns.over(GEMM).times(1 / WINDOWS),
        calibration=GEMM,
        place=cpu,
        dtype=None,
        samples_per_s=WINDOWS / whole,
        over_linear=turns.over("half").median / 2,
    )


LOOKED_AT = (1_000, 10_000, 100_000, 1_000_000) if FULL else (1_000, 30_000)
"""Steps after which the looks of the live judge are timed."""
LOOKS, TURNS = 11, 5


class Loop:
    """A loop with a window every 50 steps and an epoch every 500, and a live judge that looks when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.recorder = lvmcheck.record(folder)
        self.looks = Looks(questions_of(None))
        self.follower = BoundedFollower(folder)

    def train(self, until: int) -> None:
        """Steps up to this one."""
        for step in range(self.recorder.steps + 1, until + 1):
            loss = 0.5 + 1000 / (1000 + step)
            self.recorder.step(loss=loss + 0.01 * (step * 7919 % 101) / 101, lr=1e-3, grad_norm=1.0, samples=32)
            if step % 500 == 0:
                self.recorder.epoch(step // 500, val_loss=loss + 0.1 + 0.01 * (step * 31 % 17) / 17)

    def seconds(self) -> float:
        """CPU seconds of a look at one more window, the median of several."""
        found = []
        for _ in range(LOOKS):
            self.train(self.recorder.steps + 50)
            began = clock()
            decided = list(self.looks.look(self.follower))
            found.append(clock() - began)
            assert not [outcome for _, outcome, _ in decided if outcome.status is not Status.PASSED]
        return median(found)


@pytest.mark.usefixtures("timing", "cpu")
def test_a_look_costs_the_same_however_long_the_run_is(tmp_path: Path, figures: Figures) -> None:
    loops = {step: Loop(tmp_path / f"run{step}") for step in LOOKED_AT}
    for step, loop in loops.items():
        loop.train(step)
        loop.seconds()
    # In turns: a machine that slows down meanwhile slows all of them.
    turns = [{step: loop.seconds() for step, loop in loops.items()} for _ in range(TURNS)]
    times = {step: median(turn[step] for turn in turns) for step in LOOKED_AT}
    first, last = LOOKED_AT[0], LOOKED_AT[-1]
    ratio = median(turn[last] / turn[first] for turn in turns)
    beside = ", ".join(f"{times[step] / times[first]:.2f} times at step {step:,}" for step in LOOKED_AT[1:])
    figures.add(
        "recorder and judge",
        "a look of the live judge",
        f"{1000 * times[first]:.2f} ms at step {first:,}",
        beside,
        f"{len(loops[last].looks.open)} universal checks open, 500 steps an epoch",
    )
    assert ratio < 2  # the whole record is longer by the ratio of the steps


@pytest.mark.usefixtures("timing")
def test_diagnosing_from_the_command_line(benchmark: Any, cpu: Place, figures: Figures) -> None:
    path = ROOT / "fixtures" / "runs" / "amn_790k_attempt_1"
    ours: list[float] = []
    numpy: list[float] = []

    def diagnose() -> None:
        done = commands.python("-m", "lvmcheck.commands.main", "diagnose", str(path), cwd=ROOT, expect=(1,))
        assert "likely cause: the loss contains a term that is not logged" in done.output
        ours.append(done.cpu)

    def import_numpy() -> None:
        numpy.append(commands.python("-c", "import numpy", cwd=ROOT).cpu)

    benchmark.pedantic(diagnose, setup=import_numpy, rounds=9 if FULL else 1, warmup_rounds=0)
    over = Spread.of([one / other for one, other in zip(ours, numpy, strict=True)])
    figures.add(
        "recorder and judge",
        "lvmcheck diagnose of a recorded run",
        f"{1000 * median(ours):.0f} ms",
        f"{over.median:.1f} times importing numpy",
        "CPU time of the whole command",
    )
    comparable(benchmark, over, calibration="import-numpy", place=cpu, dtype=None)
