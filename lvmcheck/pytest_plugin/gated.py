"""What a session is held to that a gate will judge (``LVMCHECK_NONCE``).

Its functions are themselves, another process agrees with its verdicts, and its trainers read nothing that it wrote.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.verdict_json import plain_json
from lvmcheck.launch.executed import NONCE
from lvmcheck.launch.inputs import made_files
from lvmcheck.launch.run_job import RunJob
from lvmcheck.pytest_plugin.constants import ENVIRONMENT
from lvmcheck.pytest_plugin.options import read_options
from lvmcheck.report.machine import git
from lvmcheck.report.machine.session import SuiteReport, Trouble

PATCHED = "other code has replaced this function while the session ran"


def patched() -> list[Trouble]:
    """Functions by which this process judges and that other code has replaced."""
    if NONCE not in os.environ:
        return []
    from lvmcheck.pytest_plugin.untouched import replaced

    return [Trouble(where=name, when="judging", message=PATCHED) for name in replaced()]


def disputed(config: pytest.Config, suites: Mapping[str, SuiteReport]) -> list[Trouble]:
    """Checks that passed here and not in a process of its own."""
    if NONCE not in os.environ:
        return []
    from lvmcheck.pytest_plugin.judged_again import Judge

    environment = config.stash[ENVIRONMENT]
    judge = Judge(
        top=git.top(config.rootpath) or config.rootpath,
        start=config.invocation_params.dir,
        env=environment,
        path=sys.path,
        limit=read_options(config).check_timeout,
    )
    found = judge.disputes([plain_json(suite) for suite in suites.values()])
    return [Trouble(where=node, when="judging", message=problem) for node, problem in found]


# -- what this process writes ------------------------------------------------------------------------------------------
MADE_HERE = "declared as data, and written while the session ran"
WRITTEN: set[str] = set()
"""Real paths of the files that this process has written, linked or renamed since :func:`watch`."""
_HOOKED: list[int] = []
"""When it began."""
WRITES = os.O_WRONLY | os.O_RDWR
PLACES = {"os.rename": 1, "os.link": 1, "os.symlink": 1, "shutil.move": 1}
"""Audit event -> which of its arguments is the file that comes to be."""


def watch() -> None:
    """Note what this process writes from now on, where a gate will judge it."""
    if NONCE in os.environ and not _HOOKED:
        _HOOKED.append(time.time_ns())
        sys.addaudithook(_note)


def _note(event: str, args: tuple[Any, ...]) -> None:
    place = args[PLACES[event]] if event in PLACES else None
    if event == "open" and isinstance(args[2], int) and args[2] & WRITES:
        place = args[0]
    if isinstance(place, str | bytes | os.PathLike):
        WRITTEN.add(os.path.realpath(os.fsdecode(place)))


def handed_over(suite: SuiteReport, jobs: Sequence[RunJob], shown: Callable[[Path], str]) -> SuiteReport:
    """The suite, among whose opened files are those that this process made for its trainers."""
    made = {job.plan.seed: made_files(job.run.path) for job in jobs if job.run.path is not None and job.run.done}
    runs = []
    for run in suite.runs:
        ours = {shown(Path(path)): "" for path in made.get(run.seed, ()) if os.path.realpath(path) in WRITTEN}
        runs.append(replace(run, opened={**run.opened, **ours}) if run.opened is not None else run)
    return replace(suite, runs=tuple(runs))


def written_data(suites: Mapping[str, SuiteReport], top: Path) -> list[Trouble]:
    """Data that suites declare and that came, or were changed, after this session had begun."""
    declared = sorted({path for suite in suites.values() for run in suite.runs for path in run.inputs})
    return [Trouble(where=path, when="judging", message=MADE_HERE) for path in declared if _written(top / path)]


def _written(path: Path) -> bool:
    try:
        changed = path.stat().st_ctime_ns  # which nobody can set
    except OSError:
        return False
    return bool(_HOOKED) and (os.path.realpath(path) in WRITTEN or changed > _HOOKED[0])
