"""One line of the verdict table: from verdicts.json, from a judgement made now, or from a pytest session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lvmcheck.checks.finding import Finding, Outcome, Status, Verdict, outcome_json
from lvmcheck.errors import InputError
from lvmcheck.report.html.text import clean, shown, spelled
from lvmcheck.run.directory import VERDICTS
from lvmcheck.run.view import read_json

MAX_BYTES = 16 << 20
MOST = 2000
"""Verdicts of one run that are read."""
MARKS = {"passed": "✓", "failed": "✗", "not applicable": "–", "error": "!", "pending": "…"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A verdict with its address, as plain values.

    ``asked`` is the suite file and the line that asks for the check; ``expected`` says that the suite wants this check
    to fail; ``unreached`` that another check had ended the run.
    """

    check: str
    use: str
    status: Status
    what: str = ""
    measured: float | str | None = None
    wanted: str = ""
    epoch: int | None = None
    step: int | None = None
    margin: float | None = None
    evidence: tuple[str, ...] = ()
    reason: str = ""
    evaluated: int = 0
    abort: bool = False
    asked: tuple[str, int | None] | None = None
    source: str = ""
    expected: bool = False
    unreached: bool = False

    @property
    def bad(self) -> bool:
        """It failed or could not be judged, and nobody wanted that."""
        return self.status in (Status.FAILED, Status.ERROR) and not self.expected

    @property
    def kind(self) -> str:
        """How it is shown: a status, or one of two that say more."""
        if self.unreached:
            return "unreached"
        return "expected" if self.expected and self.status is Status.FAILED else self.status.value.replace(" ", "-")

    @property
    def word(self) -> str:
        words = {"unreached": "not reached", "expected": "failed, as the suite expects"}
        return words.get(self.kind, self.status.value)

    @property
    def mark(self) -> str:
        return "·" if self.unreached else MARKS[self.status.value]

    @property
    def figure(self) -> str:
        """What was measured, in short."""
        if self.unreached or self.status is Status.NOT_APPLICABLE:
            return ""
        return shown(self.measured)[:40]

    def outcome(self) -> Outcome:
        finding = None
        if self.what:
            finding = Finding(
                what=self.what,
                measured=self.measured,
                wanted=self.wanted,
                epoch=self.epoch,
                step=self.step,
                margin=self.margin,
                evidence=self.evidence,
            )
        return Outcome(
            status=self.status, finding=finding, reason=self.reason, evaluated=self.evaluated, abort=self.abort
        )

    def sentence(self) -> str:
        return clean(self.outcome().sentence())

    def verdict(self, seed: int | None) -> Verdict:
        """For the diagnosis."""
        return Verdict(check=self.check, use=self.use, outcome=self.outcome(), seed=seed)


def row_of(body: Mapping[str, Any], *, where: str) -> Row:
    """A row from plain values, as ``verdicts.json`` and the items of a pytest session hold them.

    Raises:
        InputError: it names no check, or its status is none.
    """
    check, status = body.get("check"), body.get("status")
    if not isinstance(check, str) or not check:
        raise InputError(where, f"expected the name of a check, got {str(check)[:60]!r}", key="check")
    if status not in set(Status):
        expected = ", ".join(Status)
        raise InputError(where, f"expected one of {expected}, got {str(status)[:60]!r}", key=f"{check[:60]}.status")
    evidence = body.get("evidence")
    reason = str(body.get("reason") or "")
    margin = spelled(body.get("margin"))
    what = body.get("what")
    unreached = body.get("unreached", what is None and status == "failed" and reason.startswith("not reached"))
    return Row(
        check=clean(check, 160),
        use=clean(body.get("use") or check.partition("[")[0], 80),
        status=Status(status),
        what=clean(what or "", 200),
        measured=_measured(body.get("measured")),
        wanted=clean(body.get("wanted") or "", 300),
        epoch=_whole(body.get("epoch")),
        step=_whole(body.get("step")),
        margin=margin if isinstance(margin, float) else None,
        evidence=tuple(clean(item) for item in evidence[:20]) if isinstance(evidence, list) else (),
        reason=clean(reason),
        evaluated=_whole(body.get("evaluated")) or 0,
        abort=body.get("abort") is True,
        asked=_asked(body),
        source=clean(body.get("source") or "", 200),
        expected=body.get("expected_failure") is True,
        unreached=unreached is True,
    )


def _measured(value: object) -> float | str | None:
    number = spelled(value)
    return clean(number, 200) if isinstance(number, str) else number


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _asked(body: Mapping[str, Any]) -> tuple[str, int | None] | None:
    """File and line, from ``file`` and ``line`` or from ``asked`` ("suite.toml:38")."""
    if isinstance(body.get("file"), str):
        return str(body["file"]), _whole(body.get("line"))
    asked = body.get("asked")
    if not isinstance(asked, str) or not asked or len(asked) > 4096:
        return None
    path, colon, line = asked.partition(" (")[0].rpartition(":")
    return (path, int(line)) if colon and line.isascii() and line.isdigit() and len(line) < 9 else (asked, None)


def rows_of(verdicts: Sequence[Verdict]) -> tuple[Row, ...]:
    """Rows of verdicts made now."""
    found = []
    for verdict in verdicts:
        body = {"check": verdict.check, "use": verdict.use, "source": verdict.source, **outcome_json(verdict.outcome)}
        if verdict.asked is not None:
            body |= {"file": str(verdict.asked[0]), "line": verdict.asked[1]}
        found.append(row_of(body, where=verdict.check))
    return tuple(found)


def recorded_rows(folder: Path) -> tuple[Row, ...] | None:
    """Rows from a run directory's ``verdicts.json``, or None where there is none.

    Raises:
        InputError: it is too large, or does not hold verdicts.
    """
    place = folder / VERDICTS
    if not place.is_file():
        return None
    if place.stat().st_size > MAX_BYTES:
        raise InputError(place, f"expected at most {MAX_BYTES:,} bytes, got {place.stat().st_size:,}")
    try:
        body = read_json(place)
    except RecursionError:
        body = None
    said = None if body is None else body.get("verdicts")
    if not isinstance(said, list) or not all(isinstance(item, dict) for item in said):
        raise InputError(place, "expected an object with a list 'verdicts' of objects")
    if len(said) > MOST:
        raise InputError(place, f"expected at most {MOST:,} verdicts, got {len(said):,}")
    return tuple(_settled(row_of(item, where=f"{place}: verdict {i}")) for i, item in enumerate(said, start=1))


def _settled(row: Row) -> Row:
    """A check that should have failed, and has not, is a failure of its suite."""
    if not row.expected or row.status is not Status.PASSED:
        return row
    evidence = ("the suite expects this check to fail, and it passed", *row.evidence)
    return replace(row, status=Status.FAILED, expected=False, evidence=evidence)


def session_row(body: Mapping[str, Any], *, where: str) -> Row:
    """The row of a pytest item, whose status says whether its suite got what it expects; a row says what was found."""
    row = row_of(body, where=where)
    if not row.expected or row.status not in (Status.PASSED, Status.FAILED):
        return row
    return replace(row, status=Status.FAILED, expected=row.status is Status.PASSED)
