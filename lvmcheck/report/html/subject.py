"""What a report is about: runs with their verdicts and causes, gathered from run directories or a pytest session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lvmcheck.causes.protocol import Diagnosis, diagnose
from lvmcheck.checks.protocol import evaluate
from lvmcheck.errors import InputError
from lvmcheck.report.html.rows import Row, recorded_rows, rows_of
from lvmcheck.report.html.text import clean
from lvmcheck.run import events as ev
from lvmcheck.run.directory import EVENTS
from lvmcheck.run.view import Run
from lvmcheck.run.weights import with_weights

MOST = 100
"""Runs of one report."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One run of a report.

    Args:
        label: what the page calls it, such as ``seed0``; unique in a report.
        suite: name of its suite, or "" for a run that was recorded elsewhere.
        judged: where the verdicts come from, in words.
    """

    run: Run
    label: str
    suite: str
    rows: tuple[Row, ...]
    causes: tuple[Diagnosis, ...]
    judged: str

    @property
    def bad(self) -> bool:
        return any(row.bad for row in self.rows)

    @property
    def profile(self) -> str:
        return text_of(self.run, "profile")


@dataclass(frozen=True, kw_only=True)
class Extra:
    """Verdicts that belong to no run: what all seeds answered together, and what was never trained."""

    label: str
    suite: str
    rows: tuple[Row, ...]


def text_of(run: Run, key: str) -> str:
    """A text of ``run.json``, or "" where there is none."""
    value = run.info.get(key)
    return clean(value, 200) if isinstance(value, str) else ""


def subject_of(run: Run, *, label: str = "", rows: Sequence[Row] | None = None) -> Subject:
    """A run with its verdicts: those given, else recorded beside it, else of the universal checks, judged now.

    Raises:
        InputError: its ``verdicts.json`` cannot be used.
    """
    recorded = recorded_rows(run.path) if run.path is not None and run.path.is_dir() else None
    judged = "decided by its suite" if recorded is not None or rows is not None else "judged now: the universal checks"
    known = recorded if recorded is not None else rows_of(evaluate(with_weights(run)[0]))
    more = {row.check: row for row in known}
    chosen = known if rows is None else tuple(_with_source(row, more.get(row.check)) for row in rows)
    asked = chosen if rows is not None and recorded is None else known
    causes = diagnose(run, [row.verdict(run.seed) for row in asked]) if worth_a_diagnosis(run, chosen) else []
    return Subject(
        run=run,
        label=label or label_of(run),
        suite=text_of(run, "suite"),
        rows=tuple(chosen),
        causes=tuple(causes),
        judged=judged,
    )


def _with_source(row: Row, recorded: Row | None) -> Row:
    """A session's verdict with what only the recorded one says."""
    if recorded is None:
        return row
    return replace(row, use=recorded.use, source=row.source or recorded.source, abort=row.abort or recorded.abort)


def worth_a_diagnosis(run: Run, rows: Iterable[Row]) -> bool:
    """Something failed, and there is anything to explain it by."""
    return any(row.status.value == "failed" and not row.unreached for row in rows) and bool(
        run.of(ev.Epoch) or run.windows or run.of(ev.Data)
    )


def label_of(run: Run) -> str:
    """``seed0``, or the name of the file or folder that holds the run."""
    if run.seed is not None:
        return f"seed{run.seed}"
    return clean(run.path.name, 60) if run.path is not None else "run"


def distinct(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """The same subjects with labels that tell them apart: by suite where there are several, by number where alike."""
    if len({subject.suite for subject in subjects}) > 1:
        subjects = [
            replace(it, label=f"{it.suite.rpartition('/')[2]} {it.label}" if it.suite else it.label) for it in subjects
        ]
    total, seen, named = Counter(it.label for it in subjects), Counter[str](), []
    for it in subjects:
        seen[it.label] += 1
        alike = total[it.label] > 1
        named.append(replace(it, label=f"{it.label} ({seen[it.label]})") if alike else it)
    return tuple(named)


def subjects_at(paths: Iterable[Path], read: Callable[[Path], Run]) -> tuple[Subject, ...]:
    """The runs at these paths, told apart.

    Args:
        read: such as :func:`lvmcheck.readers.open_run`.

    Raises:
        InputError: a run or its verdicts cannot be read, or there are too many.
    """
    return distinct([subject_of(read(path)) for path in run_paths(paths)])


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
