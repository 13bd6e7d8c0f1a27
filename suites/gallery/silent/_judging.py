"""Judges the silent-error programs: each is recorded, watched, and judged as ``lvmcheck check`` and ``diagnose`` do."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import random
import statistics
import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lvmcheck import Recorder, record
from lvmcheck.checks.finding import Status
from lvmcheck.commands._judging import BAD, verdicts_on
from lvmcheck.errors import InputError
from lvmcheck.readers import open_run
from lvmcheck.watch.live import readers
from suites.gallery.judge import UNIVERSAL, Conclusion, conclude
from suites.gallery.silent._kit import Program
from suites.gallery.silent._names import names_of
from suites.gallery.silent._verify import programs


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A program beside what was concluded.

    Args:
        step: the step of the first failure that rests on the watch, 0 before the first step; None without one.
        preflight: probes that failed; None where the program has no ``build``.
        broke: why the program ended with an error; empty where it did not.
    """

    name: str
    healthy: bool
    fault: str
    means: tuple[str, ...]
    right: frozenset[str]
    concluded: Conclusion
    step: int | None
    preflight: tuple[str, ...] | None
    broke: str = ""

    @property
    def caught(self) -> bool:
        """Whether a check failed, on the run or before its first step."""
        return bool(self.concluded.failed or self.preflight)

    @property
    def warned(self) -> bool:
        """Whether all that was said is a warning."""
        return not self.caught and bool(self.concluded.warned)

    @property
    def cause(self) -> str:
        """The first cause with those in its tie."""
        first = self.concluded.named[:1]
        return ", ".join([first[0].name, *first[0].also]) if first else ""

    @property
    def named(self) -> bool:
        """Whether a right cause comes first or is in the tie of the first."""
        return any(not self.right.isdisjoint((cause.name, *cause.also)) for cause in self.concluded.named[:1])


def judge(program: Program) -> Judged:
    """Train it, recorded and watched, on one thread, and judge the record."""
    torch.set_num_threads(1)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    broke, before = "", None
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / program.name
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of torch about the program are its own affair
            try:
                with record(path, config=dict(program.config), seed=0) as rec:
                    before = _preflight(program, rec)
                    program.train(rec)
            except Exception as problem:
                broke = f"{type(problem).__name__}: {problem}"
        concluded = conclude(path)
        step = _first_step(path) if not concluded.error else None
    return Judged(
        name=program.name,
        healthy=program.healthy,
        fault=program.fault,
        means=tuple(sorted(program.causes)),
        right=names_of(program.causes),
        concluded=concluded if not broke else replace(concluded, error=broke),
        step=step,
        preflight=before,
        broke=broke,
    )


def _first_step(path: Path) -> int | None:
    watching = {check.name() for checks in readers().values() for check in checks}
    found = [item for item in verdicts_on(open_run(path), UNIVERSAL) if item.status in BAD and item.check in watching]
    steps = [item.finding.step for item in found if item.finding is not None and item.finding.step is not None]
    return min(steps, default=None)


def _preflight(program: Program, rec: Recorder) -> tuple[str, ...] | None:
    """What fails before the first step; part of the record, as in a script that begins with it."""
    if program.build is None:
        return None
    torch.manual_seed(0)
    model, batch, loss, optimizer = program.build()
    try:
        report = rec.preflight(model, batch, loss, optimizer, budget_s=20.0)
    except InputError as problem:
        return (f"refused: {problem}",)
    return tuple(item.name for item in report.verdicts if item.status in (Status.FAILED, Status.ERROR))


def judge_all(only: Sequence[str] = (), jobs: int = 2) -> list[Judged]:
    """Judgements in the order of the set, each in a pool of processes."""
    chosen = [program.name for program in programs() if not only or program.name in only]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_judge_named, chosen))


def _judge_named(name: str) -> Judged:
    return judge(next(program for program in programs() if program.name == name))


# -- figures -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Figures:
    """The set in numbers; ``early`` are the steps of the first watch evidence of programs that were caught by it."""

    broken: int
    caught: int
    warned: int
    named: int
    healthy: int
    failed: int
    healthy_warned: int
    crashed: int
    steps: tuple[int, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.steps) if self.steps else float("nan")


def figures(judged: Sequence[Judged]) -> Figures:
    broken = [item for item in judged if not item.healthy]
    healthy = [item for item in judged if item.healthy]
    return Figures(
        broken=len(broken),
        caught=sum(item.caught for item in broken),
        warned=sum(item.warned for item in broken),
        named=sum(item.named for item in broken),
        healthy=len(healthy),
        failed=sum(item.caught for item in healthy),
        healthy_warned=sum(item.warned for item in healthy),
        crashed=sum(bool(item.broke) for item in judged),
        steps=tuple(item.step for item in broken if item.step is not None),
    )
