"""What a check found (Finding), what it concludes (Outcome), and what is reported of it (Verdict)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Status(StrEnum):
    """Three answers, one open question, and one that is neither a pass nor a fail."""

    PASSED = "passed"
    FAILED = "failed"
    PENDING = "pending"
    NOT_APPLICABLE = "not applicable"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One measurement beside what was wanted.

    Args:
        what: the quantity in the words of the field, such as "train cosine".
        measured: its value, or a short text where no single number says it.
        wanted: the bound in words, such as "at least 0.48, stop below 0.45".
        epoch: where it was measured (1-based), when it belongs to an epoch.
        step: the optimizer step, when it belongs to a step.
        margin: signed distance to the bound in the metric's unit; negative is a miss.
        evidence: further sentences with figures, most important first.
    """

    what: str
    measured: float | str | None
    wanted: str
    epoch: int | None = None
    step: int | None = None
    margin: float | None = None
    evidence: tuple[str, ...] = ()

    def sentence(self) -> str:
        """``train cosine 0.253 at epoch 1; wanted at least 0.48``."""
        shown = self.measured if isinstance(self.measured, str) else figure(self.measured)
        at = f" at epoch {self.epoch}" if self.epoch is not None else ""
        at += f"{',' if at else ' at'} step {self.step:,}" if self.step is not None else ""
        return f"{self.what} {shown}{at}; wanted {self.wanted}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The answer of a check on the run so far. Build one with :func:`passed`, :func:`failed` and their kin."""

    status: Status
    finding: Finding | None = None
    reason: str = ""
    evaluated: int = 0
    abort: bool = False

    @property
    def decided(self) -> bool:
        """No later event can change this answer."""
        return self.status is not Status.PENDING

    def sentence(self) -> str:
        return self.finding.sentence() if self.finding is not None else self.reason


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """An outcome as plain values, for files and other processes."""
    finding = outcome.finding
    return {
        "status": outcome.status.value,
        "what": finding.what if finding else None,
        "measured": finding.measured if finding else None,
        "wanted": finding.wanted if finding else None,
        "epoch": finding.epoch if finding else None,
        "step": finding.step if finding else None,
        "margin": finding.margin if finding else None,
        "evidence": list(finding.evidence) if finding else [],
        "reason": outcome.reason,
        "evaluated": outcome.evaluated,
        "abort": outcome.abort,
    }


def plain(value: Any) -> Any:
    """A number of numpy as Python's own: other processes (xdist) are sent nothing else."""
    return value.item() if hasattr(value, "item") else value


def passed(finding: Finding, *, evaluated: int = 1) -> Outcome:
    """A pass that rests on ``evaluated`` comparisons; with none it is an error, because nothing was shown."""
    if evaluated < 1:
        return error(f"{finding.what}: never evaluated, and a check that was never evaluated has not passed")
    return Outcome(status=Status.PASSED, finding=finding, evaluated=evaluated)


def failed(finding: Finding, *, evaluated: int = 1, abort: bool = False) -> Outcome:
    """A fail; with ``abort`` the run is doomed and is stopped."""
    return Outcome(status=Status.FAILED, finding=finding, evaluated=evaluated, abort=abort)


def pending(reason: str, *, evaluated: int = 0) -> Outcome:
    """Not decided yet; ``reason`` says what is awaited."""
    return Outcome(status=Status.PENDING, reason=reason, evaluated=evaluated)


def not_applicable(reason: str) -> Outcome:
    """The question makes no sense for this run, and why. Never counts as a pass."""
    return Outcome(status=Status.NOT_APPLICABLE, reason=reason)


def error(reason: str) -> Outcome:
    """The check could not be judged at all (missing metric, bad input, dead trainer)."""
    return Outcome(status=Status.ERROR, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """An outcome with its address: which check, which seed, asked for where, and what to do about it.

    Args:
        check: node name, such as ``cosine_floor[train_cosine@1]``.
        use: name of the check's module.
        outcome: the answer, settled: a pending one only while the run goes on.
        seed: seed of the run, when known.
        asked: suite file and 1-based line that asks for the check.
        source: where the criterion comes from (paper or seed document).
        causes: what usually causes this failure, from the check's manual page.
        next: the next command to type.
    """

    check: str
    use: str
    outcome: Outcome
    seed: int | None = None
    asked: tuple[Path, int | None] | None = None
    source: str | None = None
    causes: tuple[str, ...] = field(default=())
    next: str | None = None

    @property
    def status(self) -> Status:
        return self.outcome.status

    def asked_for(self) -> str | None:
        """``suites/amn_790k/suite.toml:41 (success criteria, item 1)``."""
        if self.asked is None:
            return None
        path, line = self.asked
        place = str(path) if line is None else f"{path}:{line}"
        return f"{place} ({self.source})" if self.source else place


def figure(value: float | None) -> str:
    """A number as people read it: 4 significant digits, thousands with commas, NaN by name, None as not measured."""
    if value is None:
        return "not measured"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    if 0.01 <= abs(value) < 1:
        return f"{value:.4f}"
    return f"{value:.4g}"
