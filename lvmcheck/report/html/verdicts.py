"""The verdict tables, the failures and the causes of a report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.report.html.report_run import Extra, ReportRun
from lvmcheck.report.html.text import listed
from lvmcheck.report.verdicts import KINDS, bad, kind, required_text, unreached
from lvmcheck.text.fit import clean

CAUSES = 3
"""Causes of one run that are shown; the first is the likeliest."""


@dataclass(frozen=True, kw_only=True)
class VerdictTable:
    """A suite's verdicts: ``lines`` are a check, its bounds, where it was asked for, and a cell a column.

    ``silent`` are checks that nobody asked for and that had no data to judge in any of the runs.
    """

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, str, str | None, tuple[Verdict | None, ...]], ...]
    judged: str
    silent: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Named:
    """A cause and the runs that show it first; the figures are those of the first of them."""

    runs: str
    found: Diagnosis
    others: tuple[Diagnosis, ...]


def tables(runs: Sequence[ReportRun], extras: Sequence[Extra]) -> list[VerdictTable]:
    """One table a suite; runs that were recorded elsewhere share one."""
    columns: dict[str, list[tuple[str, tuple[Verdict, ...]]]] = {}
    judged: dict[str, list[str]] = {}
    for item in runs:
        columns.setdefault(item.suite, []).append((item.label, item.verdicts))
        judged.setdefault(item.suite, []).append(item.judged)
    for extra in extras:
        columns.setdefault(extra.suite, []).append((extra.label, extra.verdicts))
    return [_table(suite, found, judged.get(suite, [])) for suite, found in columns.items()]


def _table(suite: str, columns: Sequence[tuple[str, tuple[Verdict, ...]]], judged: Sequence[str]) -> VerdictTable:
    checks: dict[str, list[Verdict]] = {}
    for _, verdicts in columns:
        for verdict in verdicts:
            checks.setdefault(verdict.name, []).append(verdict)
    cells = [{verdict.name: verdict for verdict in verdicts} for _, verdicts in columns]
    # In the order of the suite file, whatever order the checks were decided in.
    ordered = sorted(checks, key=lambda check: _line(checks[check][0]))
    silent = tuple(check for check in ordered if all(map(_silent, checks[check])))
    lines = tuple(
        (check, _required(checks[check]), where_asked(checks[check][0]), tuple(column.get(check) for column in cells))
        for check in ordered
        if check not in silent
    )
    text = " · ".join(dict.fromkeys(judged))
    return VerdictTable(
        title=suite or "recorded runs",
        columns=tuple(label for label, _ in columns),
        lines=lines,
        judged=text,
        silent=silent,
    )


def _silent(verdict: Verdict) -> bool:
    return verdict.asked is None and verdict.status in (Status.NOT_RECORDED, Status.NOT_APPLICABLE)


def _line(verdict: Verdict) -> int:
    return 0 if verdict.asked is None else verdict.asked.line or 0


def _required(verdicts: Sequence[Verdict]) -> str:
    """The bounds; seeds may have floors of their own, computed from their data."""
    texts = list(dict.fromkeys(text for it in verdicts if (text := clean(required_text(it), 300))))
    return texts[0] + (f" (and {len(texts) - 1} other bounds)" if len(texts) > 1 else "") if texts else ""


def where_asked(verdict: Verdict) -> str | None:
    """``suites/amn_790k/suite.toml:38``."""
    if verdict.asked is None:
        return None
    path, line = clean(verdict.asked.file, 200), verdict.asked.line
    return path if line is None else f"{path}:{line}"


def failures(runs: Sequence[ReportRun], extras: Sequence[Extra]) -> list[tuple[str, Verdict]]:
    """What failed or could not be judged, with where: those that stopped a run first; the unreached are left out."""
    found = [(label, verdict) for label, verdict in _all(runs, extras) if bad(verdict)]
    return sorted(found, key=lambda item: not item[1].outcome.abort)


def warnings(runs: Sequence[ReportRun], extras: Sequence[Extra]) -> list[tuple[str, Verdict]]:
    """What is suspicious and may be meant."""
    return [(label, verdict) for label, verdict in _all(runs, extras) if verdict.status is Status.WARNING]


def _all(runs: Sequence[ReportRun], extras: Sequence[Extra]) -> Iterator[tuple[str, Verdict]]:
    yield from ((it.label, verdict) for it in runs for verdict in it.verdicts)
    yield from ((it.label, verdict) for it in extras for verdict in it.verdicts)


def not_reached(runs: Sequence[ReportRun]) -> list[tuple[str, int, str]]:
    """Label, number and reason of the checks that a stopped run left open."""
    found = []
    for it in runs:
        open_ = [verdict for verdict in it.verdicts if unreached(verdict)]
        if open_:
            found.append((it.label, len(open_), clean(it.run.stopped_where())))
    return found


def causes(runs: Sequence[ReportRun]) -> list[Named]:
    """The likeliest cause of each run; runs with the same one share a place."""
    groups: dict[str, list[ReportRun]] = {}
    for item in runs:
        if item.causes:
            groups.setdefault(item.causes[0].name, []).append(item)
    return [
        Named(runs=listed([it.label for it in who]), found=who[0].causes[0], others=tuple(who[0].causes[1:CAUSES]))
        for who in groups.values()
    ]


def counts(runs: Sequence[ReportRun], extras: Sequence[Extra]) -> dict[str, int]:
    """How many verdicts there are of each kind, the bad ones first."""
    found = Counter(kind(verdict) for _, verdict in _all(runs, extras))
    return {name: found[name] for name in KINDS if found[name]}


# -- links -------------------------------------------------------------------------------------------------------------
def link(where: str | None, folder: Path, environ: Mapping[str, str] = os.environ) -> str | None:
    """Address of a line of a suite file: on the forge where a job runs, else of the file, relative to the report.

    Args:
        where: ``path:line``; a path is taken from the working directory.
        folder: where the report is written.
        environ: of the process; GitHub's and GitLab's jobs say where their repository is.

    Returns:
        None where there is no such file.
    """
    path, colon, line = (where or "").rpartition(":")
    if not colon or not line.isdigit() or not Path(path).is_file():
        return None
    inside = os.path.relpath(path)
    base = _forge(environ)
    if base is not None and not inside.startswith(".."):
        return f"{base}/{quote(Path(inside).as_posix())}#L{line}"
    return f"{quote(Path(os.path.relpath(path, folder)).as_posix())}#L{line}"


def _forge(environ: Mapping[str, str]) -> str | None:
    server, name, sha = (environ.get(f"GITHUB_{key}") for key in ("SERVER_URL", "REPOSITORY", "SHA"))
    if server and name and sha:
        return f"{server}/{name}/blob/{sha}"
    project, sha = environ.get("CI_PROJECT_URL"), environ.get("CI_COMMIT_SHA")
    return f"{project}/-/blob/{sha}" if project and sha else None
