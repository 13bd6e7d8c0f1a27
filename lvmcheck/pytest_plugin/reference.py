"""``--lvm-update-reference REASON``: writes the reference of each suite whose every seed passed every check."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lvmcheck.checks.finding import Status
from lvmcheck.checks.wording import plural
from lvmcheck.comparison.reference.make import changes, reference_of, target
from lvmcheck.errors import InputError
from lvmcheck.launch.run_job import RunJob
from lvmcheck.report.verdicts import seed_text
from lvmcheck.statistics.reference_file import dumps, read
from lvmcheck.suite import Suite

JUDGE = "matches_reference"


def write_references(jobs: Sequence[RunJob], root: Path, why: str) -> list[str]:
    """Writes what may be written and says line by line what was there, what changed, and what was refused and why."""
    suites = {job.plan.suite.path: job.plan.suite for job in jobs}
    lines = []
    for path, suite in suites.items():
        own = [job for job in jobs if job.plan.suite.path == path]
        refusal = refused(suite, own)
        if refusal is not None:
            lines.append(f"{suite.name}: reference not written: {refusal}")
            continue
        try:
            lines += _write(own, root, why)
        except InputError as problem:
            lines.append(f"{suite.name}: reference not written: {problem}")
    return lines


def refused(suite: Suite, jobs: Sequence[RunJob]) -> str | None:
    """Why the runs of this session may not become a reference: it comes only from runs that passed everything."""
    if any(entry.expect is not None for entry in suite.checks):
        return "a suite of known failures is no reference"
    for job in jobs:
        name = seed_text(job.plan.seed)
        asked = {entry.node for entry in job.entries}
        for entry in suite.checks:
            if entry.node not in asked:
                return f"{name}: {entry.node} was deselected"
            outcome = job.outcomes.get(entry.node)
            status = outcome.status if outcome is not None else Status.PENDING
            if entry.check.name() != JUDGE and status not in (Status.PASSED, Status.NOT_APPLICABLE):
                return f"{name}: {entry.node} {status.value}"
    return None


def _write(jobs: Sequence[RunJob], root: Path, why: str) -> list[str]:
    new = reference_of([job.run for job in jobs], reason=why)
    path = target(root, new)
    shown = os.path.relpath(path)
    lines = [f"{shown}: {'written again' if path.exists() else 'written'} from {plural(len(new.seeds), 'seed')}"]
    if len(new.seeds) < 2:
        lines.append('  one seed shows no spread: only mode = "exact" can be judged with it')
    if path.exists():
        lines += [f"  {line}" for line in changes(read(path), new)] or ["  nothing changed but the date and the reason"]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(dumps(new), encoding="utf-8")
        temporary.replace(path)
    except OSError as problem:
        raise InputError(path, f"cannot be written: {problem.strerror}") from None
    return lines
