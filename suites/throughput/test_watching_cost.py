"""What judging a run while it trains costs: CPU time of the pytest process against that of the trainer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from lvmcheck.checks.finding import Outcome
from lvmcheck.run.bounded import BoundedView
from lvmcheck.run.directory import EVENTS, load
from lvmcheck.run.events import Epoch, Event, Window
from lvmcheck.run.view import Run
from lvmcheck.suite import CheckEntry, load_suite
from lvmcheck.suite.judging import judge_entry
from lvmcheck.testing.speed.kernels import GEMM, gemm
from lvmcheck.testing.speed.results import comparable
from lvmcheck.testing.speed.stopwatch import Place, clock
from lvmcheck.testing.speed.turns import take_turns
from suites.throughput.commands import ROOT, environment
from suites.throughput.conftest import FULL
from suites.throughput.figures import Figures, percent
from suites.throughput.loops import SUITE

TITLE = "recorder and judge"
GOAL = 0.02
STEPS, WINDOW = 100, 50  # of an epoch at batch 32 (the smoke profile has 625), and of a window
PROFILE = """
[profile.throughput]
data = {{ sequences = 3200, val_sequences = 256, ood_sequences = 256 }}
epochs = {epochs}

[[check]]"""
FULL_SIZE = 726_014  # sequences of the full profile
TICK = os.sysconf("SC_CLK_TCK")


def small_suite(folder: Path, epochs: int) -> Path:
    """suites/amn_790k with a profile that trains for seconds and cannot be stopped by a check."""
    text = re.sub(r"(?m)^abort(_below)? = .*\n", "", SUITE.read_text(encoding="utf-8"))
    path = folder / "suites" / "amn_small" / "suite.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text.replace("\n[[check]]", PROFILE.format(epochs=epochs), 1), encoding="utf-8")
    return path


# -- CPU time of processes, from outside -------------------------------------------------------------------------------
def cpu(pid: int) -> float:
    """User and system time of a process in seconds, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def trainer_of(ancestor: int) -> int | None:
    """The trainer that a pytest process has started, perhaps by way of a process that guards it."""
    parents: dict[int, int] = {}
    workers: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid = int(stat.parent.name)
            parents[pid] = int(stat.read_text().rpartition(")")[2].split()[1])
            if b"lvmcheck.launch.worker" in (stat.parent / "cmdline").read_bytes():
                workers.append(pid)
        except OSError:
            continue  # it ended while we looked
    return next((pid for pid in workers if ancestor in (parents[pid], parents.get(parents[pid]))), None)


@dataclass(frozen=True)
class Shares:
    """CPU seconds between the end of the first epoch and that of the last one, and the run that was trained."""

    judge: float
    trainer: float
    seconds: float
    run: Run
    suite: Path

    def per_step(self) -> float:
        """CPU seconds of a training step, evaluation and checkpoints included."""
        return self.trainer / (STEPS * (self.run.last_epoch - 1))


def train(folder: Path, *, epochs: int, progress: str) -> Shares:
    """Runs the small suite as a person would and watches both processes; the trainer runs on one thread."""
    suite, home = small_suite(folder, epochs), folder / "home"
    options = ["--lvm-profile", "throughput", "--lvm-seeds", "0", "--lvm-device", "cpu", "--lvm-progress", progress]
    places = ["--lvm-dir", str(home), "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *places, str(suite)]
    log = folder / "pytest.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=out, stderr=subprocess.STDOUT)
        try:
            marks = [(time.monotonic(), *pair) for pair in watch(process, home, (1, epochs))]
            code = process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()
    assert code in (0, 1), log.read_text()  # checks may fail on so little training; all must be decided
    assert len(marks) == 2, log.read_text()
    run = load(next(home.rglob(EVENTS)).parent)
    assert run.finished, log.read_text()
    (t0, judge0, trainer0), (t1, judge1, trainer1) = marks
    return Shares(judge1 - judge0, trainer1 - trainer0, t1 - t0, run, suite)


def watch(process: subprocess.Popen[bytes], home: Path, epochs: tuple[int, ...]) -> Iterator[tuple[float, float]]:
    """CPU seconds of pytest and of its trainer as soon as each of ``epochs`` has ended."""
    limit, trainer, waiting = time.monotonic() + 300.0, None, list(epochs)
    while waiting and process.poll() is None and time.monotonic() < limit:
        trainer = trainer or trainer_of(process.pid)
        found = next(home.rglob(EVENTS), None) if trainer else None
        if trainer and found and found.read_bytes().count(b'"event":"epoch"') >= waiting[0]:
            waiting.pop(0)
            yield cpu(process.pid), cpu(trainer)
        time.sleep(0.02)


def judge_waits(run: Run) -> list[float]:
    """Seconds that each epoch but the last waited for the judge: the trainer's clock starts again after the wait."""
    ends = run.of(Epoch)
    return [after.t - (after.seconds or 0.0) - before.t for before, after in pairwise(ends)]


NEEDS_PROC = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the CPU time of another process is read from /proc"
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Shares:
    """One run, trained and shown live, for all measurements that need a real one."""
    return train(tmp_path_factory.mktemp("live"), epochs=10, progress="live")


@NEEDS_PROC
@pytest.mark.usefixtures("timing")
def test_live_line_and_checks(request: pytest.FixtureRequest, figures: Figures) -> None:
    if not FULL:
        pytest.skip("only with LVM_THROUGHPUT=full: it trains")
    report(request.getfixturevalue("live"), "live line", figures)


def report(shares: Shares, progress: str, figures: Figures) -> None:
    """What the pytest process spent, and how long the trainer waited for it."""
    share, recorder = shares.judge / shares.trainer, figures.numbers.get("recorder 32")
    figures.add(
        TITLE,
        f"checks and progress, {progress}",
        f"{shares.judge / shares.seconds * 1e3:.0f} ms CPU a second",
        f"{percent(share)} of the trainer's CPU time",
        f"a whole pytest with all checks of amn_790k, {shares.run.last_epoch} epochs of {STEPS} steps at batch 32",
    )
    if recorder is not None:
        total = share + recorder
        asked = f"checks, {progress} and recorder, batch 32: <= {GOAL:.0%}"
        figures.target(
            asked, percent(total), total <= GOAL, "short epochs: what an epoch costs weighs six times as much"
        )
    waits = judge_waits(shares.run)
    figures.add(
        TITLE,
        f"wait for the judge, {progress}",
        f"{median(waits) * 1e3:.0f} ms an epoch",
        f"{percent(sum(waits) / shares.seconds)} of these short epochs",
        f"the same however long the epoch is; longest of {len(waits)}: {max(waits) * 1e3:.0f} ms",
    )


# -- the judge alone ---------------------------------------------------------------------------------------------------
def decisions(events: tuple[Event, ...]) -> list[int]:
    """Numbers of events after which a live judge may look: at the end of every window and epoch."""
    return [i + 1 for i, event in enumerate(events) if isinstance(event, Window | Epoch)]


def judge_all(run: Run, entries: tuple[CheckEntry, ...]) -> dict[str, Outcome]:
    """Judges the run after each of its windows and epochs, entries that are decided left alone."""
    known: dict[str, Outcome] = {}
    for count in decisions(run.events):
        so_far = Run(events=run.events[:count], info=run.info)
        for entry in entries:
            if entry.node not in known or not known[entry.node].decided:
                known[entry.node] = judge_entry(entry, so_far)
    return known


def at_full_size(run: Run) -> Run:
    """The run's own windows and epochs, repeated to the length of the full profile: 20 epochs of 726,014 sequences."""
    said, ends = cycle(run.windows), cycle(run.of(Epoch))
    windows, step = -(-FULL_SIZE // (32 * WINDOW)), 0
    events = [event for event in run.events[: decisions(run.events)[0]] if not isinstance(event, Window | Epoch)]
    for epoch in range(1, 21):
        for _ in range(windows):
            events.append(replace(next(said), epoch=epoch, first_step=step + 1, last_step=step + WINDOW))
            step += WINDOW
        events.append(replace(next(ends), epoch=epoch, step=step))
    return Run(events=tuple(events), info={**run.info, "config": {**run.config, "epochs": 20}})


@NEEDS_PROC
@pytest.mark.usefixtures("timing")
@pytest.mark.benchmark(timer=clock)
def test_judge_cost(benchmark: Any, cpu: Place, request: pytest.FixtureRequest, figures: Figures) -> None:
    if not FULL:
        pytest.skip("only with LVM_THROUGHPUT=full: it judges a run that must be trained")
    live: Shares = request.getfixturevalue("live")
    entries = load_suite(live.suite, profile="throughput").checks
    outcomes: list[dict[str, Outcome]] = []
    lanes = {GEMM: gemm(cpu.device)}
    turns = take_turns(benchmark, lambda: outcomes.append(judge_all(live.run, entries)), lanes, rounds=5)
    assert {len(found) for found in outcomes} == {len(entries)}

    spent, looks = turns.seconds(), len(decisions(live.run.events))
    share = spent / (live.per_step() * live.run.step)
    figures.add(
        TITLE,
        f"judge alone, {live.run.last_epoch} epochs of {STEPS} steps",
        f"{spent / looks * 1e3:.2f} ms a look",
        f"{percent(share)} of the training",
        f"{len(entries)} checks of amn_790k, {looks} looks: every window of {WINDOW} steps and every epoch",
    )
    figures.target(f"judge alone, short epochs: <= {GOAL:.0%} in all", percent(share), share <= GOAL)
    long = at_full_size(live.run)
    places = decisions(long.events)
    some = places[:: len(places) // 12]
    looked = [look(long, count, entries) for count in some]
    total, training = sum(looked) / len(looked) * len(places), live.per_step() * long.step
    figures.add(
        TITLE,
        f"judge alone, 20 epochs of {FULL_SIZE:,} sequences",
        f"{looked[-1] * 1e3:.1f} ms a look at the end",
        f"{percent(total / training)} of {training / 3600:.1f} h of training at batch 32",
        f"{len(places):,} looks, {len(looked)} of them measured with no check decided yet: an upper bound",
    )
    asked = f"judge alone, full profile: <= {GOAL:.0%} in all"
    figures.target(asked, percent(total / training), total <= GOAL * training, "live, it is held to 1 % of the time")
    comparable(
        benchmark,
        turns.over(GEMM).times(1 / looks),
        calibration=GEMM,
        place=cpu,
        dtype=None,
        epochs=live.run.last_epoch,
        share=share,
    )


def look(run: Run, count: int, entries: tuple[CheckEntry, ...]) -> float:
    """CPU seconds of judging every entry once after the first ``count`` events, as the live judge does."""
    view = BoundedView()
    view.of(Run(events=run.events[: count - 1], info=run.info))
    so_far = Run(events=run.events[:count], info=run.info)
    began = clock()
    seen = view.of(so_far)
    for entry in entries:
        judge_entry(entry, seen)
    return clock() - began
