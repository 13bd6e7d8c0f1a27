"""What is in a run directory before a job begins: a run to reuse or to continue, or something to make way for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.launch.plan import Plan
from lvmcheck.run import directory as rundir
from lvmcheck.run.info import move_aside
from lvmcheck.run.seal import SEAL
from lvmcheck.run.view import Run, read_json
from lvmcheck.suite import CheckEntry
from lvmcheck.suite.judging import judge_entry


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


def examine(plan: Plan) -> ExistingRun | None:
    """The run in the plan's folder; what cannot be used, or must not be, is moved aside and nothing is deleted."""
    folder = plan.folder
    info = read_json(folder / rundir.INFO)
    if info is None:
        if folder.exists():
            move_aside(folder)
        return None
    ours = info.get("session") == plan.settings.session
    foreign = plan.settings.nonce and info.get("nonce") != plan.settings.nonce
    other = {name: info.get(name) for name in plan.stated} != plan.stated
    if info.get("key") != plan.key["key"] or other or foreign or (plan.settings.fresh and not ours):
        move_aside(folder)
        return None
    follower = rundir.Follower(folder, plan.stated)
    try:
        run = follower.read()
    except InputError:  # changed after it had ended, or not events
        move_aside(folder)
        return None
    if run.done is not None and SEAL not in run.done:
        move_aside(folder)
        return None
    return ExistingRun(run, follower, ours, read_json(folder / rundir.FAILURE) or {})


def record_death(folder: Path, how: str, session: str) -> dict[str, Any]:
    """Keep how a trainer ended without its completion record, with its own last words, and return it."""
    failure = read_json(folder / rundir.FAILURE) or {}
    words = f": {failure['type']}: {failure['message']}" if "type" in failure else ""
    death = f"the trainer {how} before its completion record was written{words}"
    body = {**failure, "death": death, "session": session}
    rundir.write_json(folder / rundir.FAILURE, body)
    return body
