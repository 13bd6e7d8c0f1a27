"""Judges programs of the gallery as ``lvmcheck check`` and ``lvmcheck diagnose`` judge any recorded run."""

from __future__ import annotations

import contextlib
import hashlib
import io
import multiprocessing
import os
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from lvmcheck.causes.protocol import diagnose
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.commands._exit import BAD_INPUT, FAILED, INTERNAL, PASSED
from lvmcheck.commands._judging import BAD, exit_code, verdicts_on
from lvmcheck.errors import InputError
from lvmcheck.readers import open_run
from suites.gallery.program import HALVES, Program, discover
from suites.gallery.recorded import CACHE, recording

UNIVERSAL = Namespace(suite=None, data_name=None)
"""Options of ``lvmcheck check`` without any."""


class Kind(StrEnum):
    """What a program is to a judge; HIDDEN is broken in a way that the recorded figures do not show."""

    BROKEN = "broken"
    HIDDEN = "hidden"
    HEALTHY = "healthy"


@dataclass(frozen=True)
class Named:
    """A cause as it was named."""

    name: str
    standing: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """What was said of a run.

    Args:
        exit: exit code of ``lvmcheck check``.
        failed, warned: names of the checks.
        named: causes in the order of ``lvmcheck diagnose``.
        error: why the run could not be judged or diagnosed; empty where it was.
    """

    exit: int
    failed: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    named: tuple[Named, ...] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A program beside what was concluded; ``rows`` are the reported figures, for other tools."""

    half: str
    name: str
    task: str
    kind: Kind
    fault: str
    causes: frozenset[str]
    concluded: Conclusion
    rows: Path

    @property
    def flagged(self) -> bool:
        """Whether a check failed."""
        return self.concluded.exit == FAILED

    @property
    def only_warned(self) -> bool:
        return self.concluded.exit == PASSED and bool(self.concluded.warned)

    @property
    def first(self) -> bool:
        """Whether a right cause comes first."""
        return any(cause.name in self.causes for cause in self.concluded.named[:1])

    @property
    def right(self) -> bool:
        """Whether a right cause comes first or is in the tie of the first."""
        return self.first or any(not self.causes.isdisjoint(cause.also) for cause in self.concluded.named[:1])


def kind_of(program: Program) -> Kind:
    if program.healthy:
        return Kind.HEALTHY
    return Kind.BROKEN if program.visible else Kind.HIDDEN


def judge(half: str, program: Program, folder: Path = CACHE) -> Judgement:
    """Record the program (once), judge the record and diagnose it."""
    recorded = recording(half, program, folder)
    return Judgement(
        half=half,
        name=program.name,
        task=program.task,
        kind=kind_of(program),
        fault=program.fault,
        causes=program.causes,
        concluded=conclude(recorded.run),
        rows=recorded.rows,
    )


def conclude(path: Path) -> Conclusion:
    """What the commands conclude about a recorded run; an error of theirs is an exit code, too."""
    try:
        run = open_run(path)
        verdicts = verdicts_on(run, UNIVERSAL)
        with contextlib.redirect_stderr(io.StringIO()):  # where nothing could be evaluated it is printed
            code = exit_code(verdicts, strict=False)
    except InputError as problem:
        return Conclusion(exit=BAD_INPUT, error=str(problem))
    except Exception as problem:
        return Conclusion(exit=INTERNAL, error=f"{type(problem).__name__}: {problem}")
    checked = Conclusion(exit=code, failed=_names(verdicts, *BAD), warned=_names(verdicts, Status.WARNING))
    try:
        causes = diagnose(run, verdicts)
    except Exception as problem:
        return replace(checked, error=f"no diagnosis: {type(problem).__name__}: {problem}")
    named = tuple(Named(cause.name, cause.standing.name.lower(), cause.also) for cause in causes)
    return replace(checked, named=named)


def _names(verdicts: Iterable[Verdict], *statuses: Status) -> tuple[str, ...]:
    return tuple(item.name for item in verdicts if item.status in statuses)


# -- many of them ------------------------------------------------------------------------------------------------------
def short_form(half: str) -> list[Program]:
    """The programs that the default test run judges: one of each task, broken and healthy ones in turn.

    Where one half has a healthy one the next half has a broken one. Of those of a task and kind it is the one whose
    name has the least digest.
    """
    programs = discover(half)
    tasks = sorted({program.task for program in programs})
    chosen = []
    for number, task in enumerate(tasks, HALVES.index(half)):
        kind = Kind.HEALTHY if number % 2 else Kind.BROKEN
        group = [program for program in programs if (program.task, kind_of(program)) == (task, kind)]
        chosen.append(min(group, key=lambda program: hashlib.sha256(program.name.encode()).digest()))
    return chosen


def judge_all(
    half: str, *, short: bool = False, only: Sequence[str] = (), folder: Path = CACHE, jobs: int | None = None
) -> list[Judgement]:
    """Judgements on a half, in processes of their own (programs set seeds and threads), in the order of the half."""
    chosen = short_form(half) if short else discover(half)
    tasks = [(half, program.name, folder) for program in chosen if not only or program.name in only]
    with ProcessPoolExecutor(jobs or os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_judge_named, tasks))


def _judge_named(task: tuple[str, str, Path]) -> Judgement:
    half, name, folder = task
    program = next(program for program in discover(half) if program.name == name)
    return judge(half, program, folder)


def of_kind(judgements: Iterable[Judgement], kind: Kind) -> Iterator[Judgement]:
    return (item for item in judgements if item.kind is kind)
