"""Suites and jobs of a session as parts of its report; the verdicts are filled in from pytest's own reports."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from lvmcheck.causes.wording import diagnosis_sentence
from lvmcheck.checks.finding import Asked, Outcome, Status, Verdict, Why
from lvmcheck.errors import InputError
from lvmcheck.launch.device import guess_device
from lvmcheck.launch.inputs import opened_files
from lvmcheck.launch.run_job import RunJob, State
from lvmcheck.report.item import trained_reports
from lvmcheck.report.machine.session import CauseReport, CheckReport, RunReport, RunStatus, SuiteReport, TrainedReport
from lvmcheck.report.verdicts import SEEDS, seed_text
from lvmcheck.run.events import Begin, Epoch
from lvmcheck.run.view import Run
from lvmcheck.suite import CheckEntry, Suite

RUN_STATUS: dict[str, Literal["finished", "stopped"]] = {"finished": "finished", "stopped": "stopped"}
Shown = Callable[[Path], str]
"""A path as the report shows it."""


def suite_report(
    suite: Suite, jobs: Sequence[RunJob], selected: Container[tuple[int | str, str]], shown: Shown
) -> SuiteReport:
    """A suite before its verdicts: every check of its profile is "not run", and deselected unless it is selected.

    Args:
        jobs: those of this suite that were asked for.
        selected: seed and check of every item that is to be run.
        shown: how to show a path.
    """
    file = shown(suite.path.absolute())
    asked: list[tuple[int | str, CheckEntry]] = [
        (seed, entry) for seed in suite.seeds for entry in suite.checks if entry.across is None
    ]
    asked += [(SEEDS, entry) for entry in suite.checks if entry.across is not None]
    return SuiteReport(
        name=suite.name,
        about=suite.about,
        file=file,
        digest=hashlib.sha256(suite.origin.text.encode()).hexdigest(),
        profile=suite.profile,
        device=guess_device(str(suite.config.get("device", "auto"))),
        trainer=suite.trainer,
        seeds=suite.seeds,
        sequential=suite.sequential,
        declared=suite.declared,
        overridden=suite.overridden,
        runs=tuple(run_report(job, shown) for job in jobs),
        checks=tuple(
            _check(entry, seed, file, "nothing" if (seed, entry.node) in selected else "deselected")
            for seed, entry in asked
        ),
        causes=tuple(cause for job in jobs for cause in _causes(job)),
    )


def _check(entry: CheckEntry, seed: int | str, file: str, pytest: str) -> CheckReport:
    """A check that was not run."""
    verdict = Verdict(
        name=entry.node,
        check=entry.check.name(),
        outcome=Outcome(status=Status.PENDING, why=Why.NOT_RUN, reason=Why.NOT_RUN.value),
        seed=seed,
        asked=Asked(file=file, line=entry.line),
        source=entry.source,
    )
    return CheckReport(verdict=verdict, node=f"{file}::{seed_text(seed)}::{entry.node}", pytest=pytest)


def run_report(job: RunJob, shown: Shown) -> RunReport:
    """The run of a job as it stands."""
    run, info = job.run, job.run.info
    key = _key(job)
    return RunReport(
        seed=job.plan.seed,
        folder=shown(run.path.absolute()) if run.path else "",
        key=_text(info.get("key")),
        required_key=str(key.get("key", "")),
        config=_digest(key.get("config", {})),
        source=str(key.get("source", "")),
        inputs={shown(Path(path)): str(digest) for path, digest in key.get("inputs", {}).items()},
        opened=_opened(job, shown),
        versions={str(name): str(version) for name, version in info.get("versions", {}).items()},
        device=job.plan.device,
        used_device=run.used_device,
        created=_text(info.get("created")),
        nonce=_nonce(job),
        own=info.get("session") == job.plan.settings.session,
        reused=job.reused,
        status=_run_status(job),
        ended=job.not_started or (run.stopped_where() if run.over else ""),
        last_epoch=run.last_epoch,
        epochs=run.planned_epochs,
        step=run.step,
        samples_per_second=throughput(run),
    )


def _opened(job: RunJob, shown: Shown) -> dict[str, str] | None:
    """What the run opened below the checkout, where it was noted."""
    found = opened_files(job.run.path) if job.run.path and job.run.done is not None else None
    if found is None:
        return None
    named = {shown(Path(path)): digest for path, digest in found.items()}
    return {path: digest for path, digest in named.items() if not Path(path).is_absolute()}


def throughput(run: Run) -> float | None:
    """Samples a second: the median over epochs, or over windows where epochs do not say it.

    The first one, which warms up, counts only where it is alone.
    """
    known = [event.samples_per_second for event in run.of(Epoch) if event.samples_per_second is not None]
    if not known:
        known = [window.samples / window.seconds for window in run.windows if window.samples and window.seconds]
    return statistics.median(known[1:] or known) if known else None


def _nonce(job: RunJob) -> str:
    """What a gate had handed to the session in which every event of the run was made; empty where they differ."""
    begun = {begin.nonce or "" for begin in job.run.of(Begin)} | {str(job.run.info.get("nonce", ""))}
    return begun.pop() if len(begun) == 1 else ""


def _run_status(job: RunJob) -> RunStatus:
    if job.not_started is not None:
        return "not started"
    if job.run.death is not None:
        return "died"
    return RUN_STATUS.get(str((job.run.done or {}).get("status")), "open")


def _key(job: RunJob) -> Mapping[str, Any]:
    """The parts of the key of this checkout; nothing for what was never looked at or cannot be read."""
    if job.state is State.NEW:
        return {}
    try:
        return job.plan.key
    except InputError:
        return {}


def _causes(job: RunJob) -> list[CauseReport]:
    """Causes of a run with a failure that its suite does not expect."""
    asked = [entry for entry in job.entries if entry.expect is None and entry.node in job.outcomes]
    if not any(job.outcomes[entry.node].status is Status.FAILED for entry in asked):
        return []
    return [
        CauseReport(seed=job.plan.seed, diagnosis=found, message=diagnosis_sentence(found)) for found in job.causes()
    ]


def with_verdict(check: CheckReport, verdict: Verdict, *, pytest: str, seconds: float) -> CheckReport:
    """The check with its verdict and what pytest made of that; the file is named as the report names it."""
    assert check.verdict.asked is not None
    return replace(
        check,
        verdict=replace(verdict, asked=check.verdict.asked),
        pytest=pytest,
        attempts=check.attempts + 1,
        seconds=check.seconds + seconds,
    )


def merged(first: SuiteReport, other: SuiteReport) -> SuiteReport:
    """One suite as two workers saw it: of each run the account that went further, every cause once."""
    runs = {run.seed: run for run in first.runs}
    for run in other.runs:
        known = runs.get(run.seed)
        if known is None or _rank(run) > _rank(known):
            runs[run.seed] = run
    known_causes = {cause.seed for cause in first.causes}
    return replace(
        first,
        runs=tuple(runs[seed] for seed in sorted(runs)),
        causes=(*first.causes, *(cause for cause in other.causes if cause.seed not in known_causes)),
    )


def _rank(run: RunReport) -> tuple[bool, bool, bool]:
    """An account says more when its run was looked at, has ended, and was trained by whoever gives it."""
    return bool(run.required_key), run.status not in ("open", "not started"), run.own


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def trained(report: Any) -> list[TrainedReport]:
    """What a Python test asked of its trainings, from pytest's report of its call; [] for any other report."""
    asked = trained_reports(report) if report.when == "call" else []
    return [
        TrainedReport(node=report.nodeid, training=each.suite, run=each.run, verdict=each.verdict) for each in asked
    ]
