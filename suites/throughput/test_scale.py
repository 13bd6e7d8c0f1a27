"""What a training step and a look of the judge cost as things grow, and where that is not in proportion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import AdamW

from lvmcheck.checks.protocol import evaluate
from models.losses import mse
from models.lvm.amn import AMN
from models.runtime.session import reproducible
from suites.throughput.ceilings import GEMM, gemm
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures
from suites.throughput.interleave import Lane, take_turns
from suites.throughput.long_run import a_run, every_check
from suites.throughput.loops import Loops, run_config
from suites.throughput.operations import counted
from suites.throughput.results import comparable
from suites.throughput.stopwatch import Place, clock

TITLE = "cost as things grow"
TURN = 0.06  # seconds that a turn should take at least
pytestmark = pytest.mark.skipif(not FULL, reason="only with LVM_THROUGHPUT=full")


@dataclass(frozen=True)
class Case:
    """One size of what grows: how it is shown, the work that its cost should be in proportion to, and the subject."""

    label: str
    work: float
    lane: Lane


def report(benchmark: Any, figures: Figures, place: Place, what: str, cases: Sequence[Case], how: str) -> None:
    """All cases in turns, and a row for each but the first: its cost, and that over the first's in proportion."""
    figures.say(TITLE, f"One call each, in turns; 1.00 over linear is in proportion to the work; {place.words()}.")
    repeats = {case.label: how_many(case.lane) for case in cases}
    lanes = {case.label: repeated(case.lane, repeats[case.label]) for case in cases}
    *others, last = cases
    references = {case.label: lanes[case.label] for case in others} | {GEMM: gemm(place.device)}
    turns = take_turns(benchmark, lanes[last.label], references, rounds=6)
    seconds = {case.label: turns.seconds(None if case is last else case.label) / repeats[case.label] for case in cases}
    first = cases[0]
    for case in cases[1:]:
        over = seconds[case.label] / seconds[first.label] * first.work / case.work
        cost = f"{seconds[first.label] * 1e3:.3g} to {seconds[case.label] * 1e3:.3g} ms"
        figures.add(TITLE, what, first.label, case.label, cost, f"{over:.2f}", how)
    relative = turns.over(GEMM).times(1 / repeats[last.label])
    comparable(benchmark, relative, calibration=GEMM, place=place, cost=seconds)


def how_many(lane: Lane) -> int:
    """Calls that fill a turn, after one that prepares."""
    lane()
    began = clock()
    lane()
    return max(1, round(TURN / max(clock() - began, 1e-6)))


def repeated(lane: Lane, count: int) -> Lane:
    def run() -> None:
        for _ in range(count):
            lane()

    return run


def amn_step(place: Place, *, width: int = 768, batch: int = 32, context: int = 5) -> Lane:
    """A training step of AMN with its widths in proportion, on one batch of random vectors."""
    torch.manual_seed(0)
    model = AMN(width, width // 3, 2 * width // 3).to(place.device)
    optimizer = AdamW(model.parameters(), fused=place.device.type != "mps")
    x, target = (torch.randn(batch, *shape, width, device=place.device) for shape in ((context,), ()))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        mse(model(x, return_raw=True)[0], target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(
    ("what", "sizes", "how"),
    [
        (
            "width",
            (192, 384, 768, 1536),
            "AMN's training step at batch 32, by its operations; all widths at once",
        ),
        ("batch", (32, 128, 512, 2048), "AMN's training step, by its operations"),
        ("context", (5, 10, 20, 40), "AMN's training step at batch 32, by the length of the context"),
    ],
)
def test_step_grows(
    benchmark: Any, what: str, sizes: tuple[int, ...], how: str, place: Place, figures: Figures
) -> None:
    steps = {size: amn_step(place, **{what: size}) for size in sizes}
    work = {size: float(size if what == "context" else counted(step)) for size, step in steps.items()}
    cases = [Case(str(size), work[size], step) for size, step in steps.items()]
    report(benchmark, figures, place, what, cases, how)


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
def test_sequences_grow(benchmark: Any, place: Place, figures: Figures, tmp_path: Path) -> None:
    with reproducible(0, threads=place.threads):
        cases = []
        for count in (4096, 16_384, 65_536):
            config = run_config(32, place, sequences=count)
            cases.append(Case(f"{count:,}", 1.0, Loops.make(config, tmp_path / str(count), steps=1).trainer))
        report(benchmark, figures, place, "sequences", cases, "the vector trainer's step at batch 32, drawing included")


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
def test_checks_grow(benchmark: Any, cpu: Place, figures: Figures) -> None:
    checks = every_check()
    cases = []
    for times in (1, 2, 4):
        many = checks * times

        def look(many: list[Any] = many) -> None:
            evaluate(a_run(500), many)

        cases.append(Case(str(len(many)), float(times), look))
    report(benchmark, figures, cpu, "checks", cases, "judging a run of 500 windows that nobody looked at before")


@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
def test_windows_grow(benchmark: Any, cpu: Place, figures: Figures) -> None:
    checks = every_check()
    cases = []
    for windows in (1000, 4000, 16_000):

        def look(windows: int = windows) -> None:
            evaluate(a_run(windows), checks)

        cases.append(Case(f"{windows:,}", float(windows), look))
    report(benchmark, figures, cpu, "windows", cases, f"making a run and judging it by {len(checks)} checks")
