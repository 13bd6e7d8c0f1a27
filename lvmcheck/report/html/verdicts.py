"""The verdict tables, the failures and the causes of a report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.report.html.rows import Row
from lvmcheck.report.html.subject import Extra, Subject
from lvmcheck.report.html.text import clean, listed

CAUSES = 3
"""Causes of one run that are shown; the first is the likeliest."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A suite's verdicts: ``lines`` are a check, what was wanted, where it was asked for, and a cell a column."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, str, str | None, tuple[Row | None, ...]], ...]
    judged: str


@dataclass(frozen=True, kw_only=True)
class Named:
    """A cause and the runs that show it first; the figures are those of the first of them."""

    runs: str
    found: Diagnosis
    others: tuple[Diagnosis, ...]


def tables(subjects: Sequence[Subject], extras: Sequence[Extra]) -> list[Table]:
    """One table a suite; runs that were recorded elsewhere share one."""
    columns: dict[str, list[tuple[str, tuple[Row, ...]]]] = {}
    judged: dict[str, list[str]] = {}
    for subject in subjects:
        columns.setdefault(subject.suite, []).append((subject.label, subject.rows))
        judged.setdefault(subject.suite, []).append(subject.judged)
    for extra in extras:
        columns.setdefault(extra.suite, []).append((extra.label, extra.rows))
    return [_table(suite, found, judged.get(suite, [])) for suite, found in columns.items()]


def _table(suite: str, columns: Sequence[tuple[str, tuple[Row, ...]]], judged: Sequence[str]) -> Table:
    checks: dict[str, list[Row]] = {}
    for _, rows in columns:
        for row in rows:
            checks.setdefault(row.check, []).append(row)
    cells = [{row.check: row for row in rows} for _, rows in columns]
    # In the order of the suite file, whatever order the checks were decided in.
    ordered = sorted(checks, key=lambda check: _line(checks[check][0]))
    lines = tuple(
        (check, _wanted(checks[check]), _where(checks[check][0]), tuple(column.get(check) for column in cells))
        for check in ordered
    )
    said = " · ".join(dict.fromkeys(judged))
    return Table(title=suite or "recorded runs", columns=tuple(label for label, _ in columns), lines=lines, judged=said)


def _line(row: Row) -> int:
    return 0 if row.asked is None else row.asked[1] or 0


def _wanted(rows: Sequence[Row]) -> str:
    """What the bound says; seeds may have floors of their own, computed from their data."""
    said = list(dict.fromkeys(row.wanted for row in rows if row.wanted))
    return said[0] + (f" (and {len(said) - 1} other bounds)" if len(said) > 1 else "") if said else ""


def _where(row: Row) -> str | None:
    """``suites/amn_790k/suite.toml:38``."""
    if row.asked is None:
        return None
    path, line = row.asked
    return clean(path, 200) if line is None else f"{clean(path, 200)}:{line}"


def failures(subjects: Sequence[Subject], extras: Sequence[Extra]) -> list[tuple[str, Row, str | None]]:
    """What failed or could not be judged, with where: those that stopped a run first; the unreached are left out."""
    labelled = [(it.label, it.rows) for it in subjects] + [(it.label, it.rows) for it in extras]
    found = [(label, row, _where(row)) for label, rows in labelled for row in rows if row.bad and not row.unreached]
    return sorted(found, key=lambda item: not item[1].abort)


def unreached(subjects: Sequence[Subject]) -> list[tuple[str, int, str]]:
    """Label, number and reason of the checks that a stopped run left open."""
    found = []
    for it in subjects:
        rows = [row for row in it.rows if row.unreached]
        if rows:
            reason = rows[0].reason.partition(" (awaits")[0].removeprefix("not reached: ")
            found.append((it.label, len(rows), reason))
    return found


def causes(subjects: Sequence[Subject]) -> list[Named]:
    """The likeliest cause of each run; runs with the same one share a place."""
    groups: dict[str, list[Subject]] = {}
    for subject in subjects:
        if subject.causes:
            groups.setdefault(subject.causes[0].name, []).append(subject)
    return [
        Named(
            runs=listed([it.label for it in who]),
            found=who[0].causes[0],
            others=tuple(who[0].causes[1:CAUSES]),
        )
        for who in groups.values()
    ]


def counts(subjects: Sequence[Subject], extras: Sequence[Extra]) -> dict[str, int]:
    """How many verdicts there are of each kind, the bad ones first."""
    kinds = ("failed", "error", "unreached", "pending", "expected", "passed", "not-applicable")
    rows = [row for it in subjects for row in it.rows] + [row for it in extras for row in it.rows]
    total = {kind: sum(row.kind == kind for row in rows) for kind in kinds}
    return {kind: number for kind, number in total.items() if number}


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
