"""The runs of a report with their verdicts and causes, gathered from run directories or a pytest session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lvmcheck.causes.protocol import Diagnosis, diagnose
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.protocol import evaluate
from lvmcheck.errors import InputError
from lvmcheck.report.recorded import recorded_verdicts
from lvmcheck.report.verdicts import bad, seed_text, unreached
from lvmcheck.run import events as ev
from lvmcheck.run.directory import EVENTS
from lvmcheck.run.view import Run
from lvmcheck.run.weights import with_weights
from lvmcheck.text.fit import clean

MOST = 100
"""Runs of one report."""


@dataclass(frozen=True, kw_only=True)
class ReportRun:
    """One run of a report.

    Args:
        label: what the page calls it, such as ``seed0``; unique in a report.
        suite: name of its suite, or "" for a run that was recorded elsewhere.
        judged: where the verdicts come from, in words.
    """

    run: Run
    label: str
    suite: str
    verdicts: tuple[Verdict, ...]
    causes: tuple[Diagnosis, ...]
    judged: str

    @property
    def bad(self) -> bool:
        return any(map(bad, self.verdicts))

    @property
    def profile(self) -> str:
        return text_of(self.run, "profile")


@dataclass(frozen=True, kw_only=True)
class Extra:
    """Verdicts that belong to no run: what all seeds answered together, and what was never trained."""

    label: str
    suite: str
    verdicts: tuple[Verdict, ...]


def text_of(run: Run, key: str) -> str:
    """A text of ``run.json``, or "" where there is none."""
    value = run.info.get(key)
    return clean(value, 200) if isinstance(value, str) else ""


def report_run(run: Run, *, label: str = "", verdicts: Sequence[Verdict] | None = None) -> ReportRun:
    """A run with its verdicts: those given, else recorded beside it, else of the universal checks, judged now.

    Raises:
        InputError: its ``verdicts.json`` cannot be used.
    """
    chosen = verdicts
    if chosen is None and run.path is not None and run.path.is_dir():
        chosen = recorded_verdicts(run.path)
    judged = "judged now: the universal checks" if chosen is None else "decided by its suite"
    known = tuple(evaluate(with_weights(run)[0]) if chosen is None else chosen)
    return ReportRun(
        run=run,
        label=label or label_of(run),
        suite=text_of(run, "suite"),
        verdicts=known,
        causes=tuple(diagnose(run, [as_measured(it) for it in known]) if worth_a_diagnosis(run, known) else ()),
        judged=judged,
    )


def as_measured(verdict: Verdict) -> Verdict:
    """The verdict as its check gave it: what a suite expects to fail has failed."""
    if not verdict.expected_failure or verdict.status is not Status.PASSED:
        return verdict
    return replace(verdict, outcome=replace(verdict.outcome, status=Status.FAILED))


def worth_a_diagnosis(run: Run, verdicts: Iterable[Verdict]) -> bool:
    """Something failed on a measurement, and there is anything to explain it by."""
    failed = any(as_measured(it).status is Status.FAILED and not unreached(it) for it in verdicts)
    return failed and bool(run.of(ev.Epoch) or run.windows or run.of(ev.Data))


def label_of(run: Run) -> str:
    """``seed0`` of a suite, else the name of the file or folder that holds the run."""
    if run.path is not None and (run.seed is None or not text_of(run, "suite")):
        return clean(run.path.name, 60)
    return seed_text(run.seed) if run.seed is not None else "run"


def folder_of(item: ReportRun) -> str:
    """The name of the run's folder; below its parent where it was recorded elsewhere."""
    path = item.run.path
    if path is None:
        return item.label
    return clean(path.name if item.suite else f"{path.absolute().parent.name}/{path.name}", 60)


def distinct(runs: Sequence[ReportRun]) -> tuple[ReportRun, ...]:
    """The same runs with labels that tell them apart: by suite where there are several, by folder where these are
    alike, such as two versions of a seed, and by number where nothing else does.
    """
    twice = Counter((it.suite, it.label) for it in runs)
    runs = [replace(it, label=folder_of(it)) if twice[it.suite, it.label] > 1 else it for it in runs]
    if len({it.suite for it in runs}) > 1:
        runs = [replace(it, label=f"{it.suite.rpartition('/')[2]} {it.label}" if it.suite else it.label) for it in runs]
    total, seen, named = Counter(it.label for it in runs), Counter[str](), []
    for it in runs:
        seen[it.label] += 1
        alike = total[it.label] > 1
        named.append(replace(it, label=f"{it.label} ({seen[it.label]})") if alike else it)
    return tuple(named)


def runs_at(paths: Iterable[Path], read: Callable[[Path], Run]) -> tuple[ReportRun, ...]:
    """The runs at these paths, with labels that differ.

    Args:
        read: such as :func:`lvmcheck.readers.open_run`.

    Raises:
        InputError: a run or its verdicts cannot be read, or there are too many.
    """
    return distinct([report_run(read(path)) for path in run_paths(paths)])


def run_paths(paths: Iterable[Path]) -> list[Path]:
    """The paths; a folder that is no run but holds run directories stands for them.

    Raises:
        InputError: more runs than a page can show.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(it.parent for it in path.glob(f"*/{EVENTS}")) if path.is_dir() else []
        found += [path] if (path / EVENTS).exists() or not inside else inside
    found = list(dict.fromkeys(found))
    if len(found) > MOST:
        raise InputError("report", f"expected at most {MOST} runs, got {len(found)}")
    return found
