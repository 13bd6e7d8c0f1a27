"""What is in a run directory before a job begins: a run to reuse or to continue, or something to make way for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.launch import seen
from lvmcheck.launch.inputs import changed, changed_since
from lvmcheck.launch.odd_files import odd_file
from lvmcheck.launch.plan import Plan
from lvmcheck.run import directory as rundir
from lvmcheck.run import events as ev
from lvmcheck.run.info import make_run, move_aside
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.seal import SEAL
from lvmcheck.run.view import Run
from lvmcheck.suite import CheckEntry
from lvmcheck.suite.judging import judge_entry

OTHER_GATE = "it was not made for this gate"
NOT_BEGUN = "it bears the name of this session, which has not begun it"
WORKER = "PYTEST_XDIST_WORKER"
BEGUN: set[Path] = set()
"""Folders of the runs that this process has begun."""
UNFINISHED = "another session has begun it, and a gate will judge this one"


@dataclass(frozen=True)
class ExistingRun:
    """A readable run of the same key.

    Args:
        ours: this pytest session trained it, perhaps in another xdist worker.
        failure: how its trainer failed, when it did.
    """

    run: Run
    follower: rundir.Follower
    ours: bool
    failure: dict[str, Any]

    @property
    def created(self) -> str:
        return str(self.run.info.get("created", ""))[:16].replace("T", " ")

    def answers(self, entries: tuple[CheckEntry, ...], *, whole: bool, limit: float) -> bool:
        """Whether nothing need be trained: it finished, decides every requested check, or is aborted again."""
        if self.run.done is None:
            return False
        going = replace(self.run, done=None, death=None)
        outcomes = [judge_entry(entry, going, limit=limit) for entry in entries]
        aborts = any(outcome.abort for outcome in outcomes)
        return self.run.finished or aborts or (not whole and all(outcome.decided for outcome in outcomes))


@dataclass(frozen=True)
class Aside:
    """Why what was in a run directory made way."""

    reason: str
    path: Path | None = None

    def __str__(self) -> str:
        kept = f"; the run before is kept as {self.path.name}" if self.path is not None else ""
        return f"trained again: {self.reason}{kept}"


def examine(plan: Plan) -> ExistingRun | Aside | None:
    """The run in the plan's folder; what cannot be used, or must not be, is moved aside and nothing is deleted."""
    folder = plan.folder
    if not os.path.lexists(folder):
        return None
    found = _usable(plan)
    if isinstance(found, ExistingRun):
        return found
    if not folder.is_dir() or any(folder.iterdir()):
        return Aside(found, move_aside(folder, found))
    return None


def begin(plan: Plan, resume: Path | None) -> None:
    """Make the run's folder, or take it over to continue from a checkpoint."""
    folder = plan.folder
    BEGUN.add(folder)
    if resume is None:
        make_run(folder, plan.info())
    else:
        info = read_json(folder / rundir.INFO) or {}
        rundir.write_json(folder / rundir.INFO, {**info, "session": plan.settings.session})


def _usable(plan: Plan) -> ExistingRun | str:
    """The run in the plan's folder, or why it is not used."""
    folder = plan.folder
    odd = odd_file(folder)
    if odd is not None:
        return odd
    info = read_json(folder / rundir.INFO)
    if info is None:
        return f"{rundir.INFO} cannot be read"
    ours = info.get("session") == plan.settings.session
    reason = _other(plan, info, ours=ours)
    if reason is not None:
        return reason
    follower = rundir.Follower(folder, plan.stated)
    try:
        run = follower.read()
    except InputError as problem:  # changed after it had ended, or not events
        return f"{Path(problem.where).name}: {problem.problem}"
    if run.done is not None and SEAL not in run.done:
        return f"{rundir.DONE} has no seal"
    if plan.settings.nonce and any(begin.nonce != plan.settings.nonce for begin in run.of(ev.Begin)):
        return OTHER_GATE
    whole = run.done is not None
    if plan.settings.nonce and not whole and not ours:
        return UNFINISHED
    if not whole and (why := seen.changed(folder)) is not None:
        return why
    environment = plan.settings.environment
    if whole:
        stale = changed(folder, info, plan.cache, environment)
    else:
        stale = changed_since(folder, plan.settings.root, environment)
    if stale is not None and not ours:
        return stale
    return ExistingRun(run, follower, ours, read_json(folder / rundir.FAILURE) or {})


def _other(plan: Plan, info: Mapping[str, Any], *, ours: bool) -> str | None:
    """Why the run that ``info`` describes is not the one that the plan asks for."""
    if info.get("key") != plan.key["key"]:
        return "it has another key"
    if {name: info.get(name) for name in plan.stated} != plan.stated:
        return "it has another config"
    if plan.settings.nonce and info.get("nonce") != plan.settings.nonce:
        return OTHER_GATE
    alone = plan.settings.nonce and WORKER not in plan.settings.environment  # else another worker may have begun it
    if ours and alone and plan.folder not in BEGUN:
        return NOT_BEGUN
    return "--lvm-fresh" if plan.settings.fresh and not ours else None


def record_death(folder: Path, how: str, session: str) -> dict[str, Any]:
    """Keep how a trainer ended without its completion record, with its own last words, and return it."""
    failure = read_json(folder / rundir.FAILURE) or {}
    words = f": {failure['type']}: {failure['message']}" if "type" in failure else ""
    death = f"the trainer {how} before its completion record was written{words}"
    body = {**failure, "death": death, "session": session}
    rundir.write_json(folder / rundir.FAILURE, body)
    return body
