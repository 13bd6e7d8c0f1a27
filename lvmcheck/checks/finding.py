"""What a check measured (Finding) beside what was required (Bound), and what it concludes (Outcome): fields, no prose.

Words are made of these in :mod:`lvmcheck.checks.wording` and nowhere else; no reader takes a text apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lvmcheck.checks.bounds import Bound, BoundKind

Scalar = float | int | str | bool | None


class Status(StrEnum):
    """Answers of a check. Only PASSED is a pass; ERROR is neither a pass nor a fail.

    WARNING: suspicious, but it may be meant; never changes an exit code unless asked to (``--strict``).
    NOT_APPLICABLE: the question makes no sense for this run. NOT_RECORDED: it would, but the data are not there; a
    suite that asks for the check makes an error of it.
    """

    PASSED = "passed"
    FAILED = "failed"
    WARNING = "warning"
    PENDING = "pending"
    NOT_APPLICABLE = "not applicable"
    NOT_RECORDED = "not recorded"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure that supports a finding or a cause.

    Args:
        name: a stable identifier in snake case, such as "mean_of_context"; shown with spaces.
        value: a number, a short text (a name, a list of names), a truth value, or None where it was not measured.
        unit: such as "steps", "%", "x", "nats"; empty for a pure number.
        epoch, step: where it was measured, when it differs from the finding's own place.
    """

    name: str
    value: Scalar
    unit: str = ""
    epoch: int | None = None
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One measurement beside what was required.

    Args:
        code: stable identifier of what was found within the check, such as "below_floor"; the same whatever the
            figures are.
        metric: the metric of the run that was measured, where it is one ("train_cosine").
        measured: its value, or a short text where no single number says it; None where it could not be had.
        unit: unit of ``measured`` and of the bounds.
        bounds: every bound it was compared with, in full precision.
        epoch, step: where it was measured (1-based epoch, optimizer step), where it belongs to one.
        evidence: further figures, most important first.
        phrase: how the measurement is said, a constant template over fields and fact names, such as
            "{measured} of {total} settings differ"; by default metric or code, value, place and bounds.
    """

    code: str
    metric: str | None = None
    measured: Scalar = None
    unit: str = ""
    bounds: tuple[Bound, ...] = ()
    epoch: int | None = None
    step: int | None = None
    evidence: tuple[Fact, ...] = ()
    phrase: str = ""

    @property
    def number(self) -> float:
        """``measured`` as a float; NaN where it is no number."""
        value = self.measured
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan

    @property
    def margin(self) -> float | None:
        """Signed distance to the nearest floor or ceiling in the metric's unit; negative is a miss, None without one.

        NaN where no number was measured.
        """
        signs = {BoundKind.FLOOR: 1.0, BoundKind.CEILING: -1.0}
        distances = [
            signs[bound.kind] * (self.number - bound.value)
            for bound in self.bounds
            if bound.kind in signs and isinstance(bound.value, int | float)
        ]
        if any(map(math.isnan, distances)):
            return math.nan
        return min(distances, default=None)

    @property
    def met(self) -> bool:
        """Whether a number was measured that keeps every floor, ceiling and equality; NaN keeps none."""
        return bool(self.bounds) and all(_keeps(self, bound) for bound in self.bounds)

    @property
    def beyond_abort(self) -> bool:
        """Whether the value lies beyond its abort bound, on the side of the floor or ceiling beside it; NaN does."""
        aborts = [bound.value for bound in self.bounds if bound.kind is BoundKind.ABORT]
        rising = any(bound.kind is BoundKind.FLOOR for bound in self.bounds)
        return any(
            not (self.number >= value if rising else self.number <= value)
            for value in aborts
            if isinstance(value, int | float)
        )

    def fact(self, name: str) -> Fact | None:
        """The evidence of that name."""
        return next((fact for fact in self.evidence if fact.name == name), None)


def _keeps(finding: Finding, bound: Bound) -> bool:
    if bound.kind is BoundKind.ABORT:
        return True
    if bound.kind is BoundKind.EQUAL:
        return finding.measured == bound.value
    if not isinstance(bound.value, int | float):
        return False
    return finding.number >= bound.value if bound.kind is BoundKind.FLOOR else finding.number <= bound.value


class Why(StrEnum):
    """Why there is no finding: what another reader may need to tell apart without reading the text.

    NOT_REACHED: another check, or whoever stopped the run, ended it first. RUN_ENDED: it ended by itself, too early.
    NOT_IN_FORMAT: the file that holds the data has no place for it or leaves it out, so nobody can judge it; a suite
    that asks for it shows that and goes on.
    """

    AWAITS = "awaits"
    NOT_RUN = "not run"
    NOT_REACHED = "not reached"
    RUN_ENDED = "run ended"
    NOT_NEEDED = "not needed"
    NOT_RECORDED = "not recorded"
    NOT_IN_FORMAT = "not in the format"
    OTHER_DATA = "other data"
    NEVER_EVALUATED = "never evaluated"
    CRASHED = "check crashed"
    SAME_RUNS = "same runs"
    RUN_DIED = "run died"
    UNEXPECTED = "unexpected"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The answer of a check on the run so far. Build one with :func:`passed`, :func:`failed` and their kin.

    Args:
        why: the kind of reason where there is no finding; ``reason`` says it in words (shown, never read).
        awaits: what an unfinished check still needed when the run ended.
        evaluated: comparisons it rests on.
        abort: the run is doomed and is stopped.
    """

    status: Status
    finding: Finding | None = None
    why: Why | None = None
    reason: str = ""
    awaits: str = ""
    evaluated: int = 0
    abort: bool = False

    @property
    def decided(self) -> bool:
        """No later event can change this answer."""
        return self.status is not Status.PENDING


def passed(finding: Finding, *, evaluated: int = 1) -> Outcome:
    """A pass that rests on ``evaluated`` comparisons; with none it is an error, because nothing was shown."""
    if evaluated < 1:
        return never_evaluated()
    return Outcome(status=Status.PASSED, finding=finding, evaluated=evaluated)


def failed(finding: Finding, *, evaluated: int = 1, abort: bool = False) -> Outcome:
    """A fail; with ``abort`` the run is doomed and is stopped."""
    return Outcome(status=Status.FAILED, finding=finding, evaluated=evaluated, abort=abort)


def warning(finding: Finding, *, evaluated: int = 1) -> Outcome:
    """Suspicious, and it may be meant."""
    return Outcome(status=Status.WARNING, finding=finding, evaluated=evaluated)


def compared(finding: Finding, *, evaluated: int = 1) -> Outcome:
    """Pass where the finding keeps its own bounds, fail where it does not (with an abort beyond its abort bound)."""
    if finding.met:
        return passed(finding, evaluated=evaluated)
    return failed(finding, evaluated=evaluated, abort=finding.beyond_abort)


def pending(awaits: str, *, evaluated: int = 0) -> Outcome:
    """Not decided yet; ``awaits`` says what is needed."""
    return Outcome(status=Status.PENDING, why=Why.AWAITS, reason=awaits, awaits=awaits, evaluated=evaluated)


def not_applicable(reason: str, why: Why = Why.OTHER) -> Outcome:
    """The question makes no sense for this run, and why. Never counts as a pass."""
    return Outcome(status=Status.NOT_APPLICABLE, why=why, reason=reason)


def not_recorded(reason: str, why: Why = Why.NOT_RECORDED) -> Outcome:
    """The run does not hold what the check needs. Never a pass; an error where a suite asks for the check.

    With NOT_IN_FORMAT it stays what it is: the data cannot hold it as they are.
    """
    return Outcome(status=Status.NOT_RECORDED, why=why, reason=reason)


def error(reason: str, why: Why = Why.OTHER) -> Outcome:
    """The check could not be judged at all (bad input, dead trainer, a crash of its own)."""
    return Outcome(status=Status.ERROR, why=why, reason=reason)


def never_evaluated() -> Outcome:
    return error("never evaluated, and a check that was never evaluated has not passed", Why.NEVER_EVALUATED)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Where a check is asked for: suite file and 1-based line."""

    file: str
    line: int | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """An outcome with its address: the one type from judge to terminal, JSON, HTML, JUnit and gate.

    Args:
        name: what tells it apart within its run, such as ``cosine_floor[train_cosine@1]``.
        check: name of the check's module.
        outcome: the answer, settled: a pending one only while the run goes on.
        seed: seed of the run, when known; "seeds" for what all seeds answer together.
        asked: where it is asked for; None for a universal check that nobody asked for.
        source: where the criterion comes from (a paper, a document, a recorded run).
        expected_failure: passed because it failed as a suite of known failures requires.
    """

    name: str
    check: str
    outcome: Outcome
    seed: int | str | None = None
    asked: Asked | None = None
    source: str | None = None
    expected_failure: bool = False

    @property
    def status(self) -> Status:
        return self.outcome.status

    @property
    def finding(self) -> Finding | None:
        return self.outcome.finding


def plain(value: Any) -> Any:
    """A number of numpy as Python's own: other processes (xdist) are sent nothing else."""
    return value.item() if hasattr(value, "item") else value


def facts(values: Mapping[str, Scalar] | None = None, /, unit: str = "", **more: Scalar) -> tuple[Fact, ...]:
    """Several facts of one unit, by name."""
    return tuple(Fact(name, plain(value), unit) for name, value in {**(values or {}), **more}.items())
