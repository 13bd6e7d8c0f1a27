"""What judging costs: every check on a run of 100,000 windows, and a diagnosis from the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

import pytest

from lvmcheck import events as ev
from lvmcheck.check import Check, check_names, evaluate, load_check
from lvmcheck.finding import Status
from lvmcheck.run import Run
from suites.throughput import commands
from suites.throughput.commands import ROOT
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures

EPOCHS = 10


def a_run(windows: int) -> Run:
    """A healthy run of that many windows of 50 steps, new every time: views of a run are computed once."""
    return Run(
        events=tuple(_events(windows)),
        info={"config": {"loss": {"mse": 1.0}, "epochs": EPOCHS}},
        done={"status": "finished"},
    )


def _events(windows: int) -> Iterator[ev.Event]:
    each = windows // EPOCHS
    for epoch in range(1, EPOCHS + 1):
        for i in range((epoch - 1) * each, epoch * each):
            loss = 1 / (100 + i)
            yield ev.Window(
                epoch=epoch,
                first_step=50 * i + 1,
                last_step=50 * (i + 1),
                samples=1600,
                seconds=0.5,
                loss_mean=loss,
                loss_min=0.9 * loss,
                loss_max=1.1 * loss,
                terms={"mse": ev.Term(weight=1.0, mean=loss)},
                ledger_error=0.0,
                grad_norm_mean=1.0,
                grad_norm_max=2.0,
                lr=5e-4,
            )
        cosine = 0.5 + epoch / 100
        metrics = {"train_loss": 1 / epoch, "train_loss_mse": 1 / epoch, "val_cosine": cosine, "train_cosine": cosine}
        yield ev.Epoch(epoch=epoch, step=50 * epoch * each, metrics={**metrics, "val_loss": 2 * (1 - cosine) / 768})


def every_check() -> list[Check]:
    """All checks that need no key, with their defaults."""
    found: list[Check] = []
    for name in check_names():
        try:
            found.append(load_check(name)())
        except (TypeError, ValueError):
            continue  # it must be told what to compare with
    return found


def seconds(windows: int, checks: list[Check], rounds: int) -> float:
    """Median processor time of judging a run of that many windows."""
    spent = []
    for _ in range(rounds):
        run = a_run(windows)
        began = time.process_time()
        verdicts = evaluate(run, checks)
        spent.append(time.process_time() - began)
        assert sum(verdict.status is Status.PASSED for verdict in verdicts) >= 8
        assert not [v.check for v in verdicts if v.outcome.reason.startswith("the check itself crashed")]
    return median(spent)


@pytest.mark.usefixtures("timing")
def test_judging_a_long_run(figures: Figures) -> None:
    checks, rounds = every_check(), 7 if FULL else 1
    seconds(1000, checks, 1)
    half, whole = seconds(50_000, checks, rounds), seconds(100_000, checks, rounds)
    figures.add(
        "judging 100,000 windows",
        f"{whole:.2f} s",
        ratio=f"{whole / half:.2f} times that of 50,000",
        note=f"{len(checks)} checks, CPU time, {1e6 * whole / 100_000:.1f} µs a window",
    )


@pytest.mark.usefixtures("timing")
def test_diagnosing_from_the_command_line(figures: Figures) -> None:
    path = ROOT / "fixtures" / "runs" / "amn_790k_attempt_1"
    rounds = 9 if FULL else 3
    spent = []
    for _ in range(rounds):
        done = commands.python("-m", "lvmcheck.cli", "diagnose", str(path), cwd=ROOT, expect=(1,))
        assert "likely cause: the loss contains a term that is not logged" in done.output
        spent.append(done.cpu)
    numpy = [commands.python("-c", "import numpy", cwd=ROOT).cpu for _ in range(rounds)]
    figures.add(
        "lvmcheck diagnose of a recorded run",
        f"{1000 * median(spent):.0f} ms",
        ratio=f"{median(spent) / median(numpy):.1f} times importing numpy",
        note="CPU time of the whole command",
    )
