"""The cause protocol: from failed checks and the run's own figures to ranked root causes.

A cause is one file below ``lvmcheck/causes/<subject>`` with one subclass of :class:`Cause`; its module's ``PASSES`` are
runs in which it must not be named, its ``FAILS`` runs in which it must come first (or in an honest tie, see
:attr:`Diagnosis.also`). A cause that needs no code of its own is an entry of ``CAUSES`` in a file below
``lvmcheck/causes/<subject>/tables``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import ClassVar

from lvmcheck.checks.finding import Fact, Finding, Outcome, Scalar, Status, Verdict
from lvmcheck.checks.protocol import judge as judge_check
from lvmcheck.checks.protocol import load_check, same
from lvmcheck.errors import InputError, nearest
from lvmcheck.run.view import Run
from lvmcheck.run.weights import Weights, with_weights

CAUSES = Path(__file__).parent


class Standing(IntEnum):
    """How far the evidence goes; the order is the ranking.

    MEASURED: the evidence proves it. LIKELY: it explains the evidence, and what would look the same was looked at.
    CONSISTENT: the evidence fits, and so do others (:attr:`Diagnosis.also`), which only a further look tells apart.
    """

    CONSISTENT = 1
    LIKELY = 2
    MEASURED = 3


@dataclass(frozen=True, kw_only=True)
class RuledOut:
    """A check that looked for something else and did not find it."""

    problem: str
    check: str
    evaluated: int


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A root cause: fields; :mod:`lvmcheck.causes.wording` makes words of them.

    Args:
        name: the cause's module.
        standing: how far the evidence goes.
        phrase: what is wrong, a constant template over the names of the evidence.
        evidence: figures, strongest first.
        explains: checks whose failure it accounts for.
        also: names of other causes that this evidence cannot tell from it.
        tell_apart: the command or line of code that does.
        fix: what to change.
        next: the command to type.
        ruled_out: what was looked for and not found.
        after: causes that bring this one about: where one of them is shown too, it comes first.
    """

    name: str
    standing: Standing
    phrase: str
    evidence: tuple[Fact, ...]
    fix: str
    next: str
    explains: frozenset[str] = frozenset()
    also: tuple[str, ...] = ()
    tell_apart: str = ""
    ruled_out: tuple[RuledOut, ...] = ()
    after: frozenset[str] = frozenset()

    def share(self, failed: Iterable[str]) -> float:
        """Share of the failed checks that it accounts for, 0 to 1."""
        names = set(failed)
        return len(self.explains & names) / len(names) if names else 0.0


class Evidence:
    """The run and what its checks say, asked for when needed: as the suite asks where it does, else with defaults."""

    def __init__(self, run: Run, verdicts: Iterable[Verdict] = ()) -> None:
        self.run, self.weights = with_weights(run)
        self._known: dict[str, Outcome] = {}
        for verdict in verdicts:
            known = self._known.get(verdict.check)
            # Of several uses of one check the failed one is evidence; a pass elsewhere does not undo it.
            if known is None or known.status is not Status.FAILED:
                self._known[verdict.check] = verdict.outcome

    def outcome(self, check: str) -> Outcome:
        """What the check says of the run so far."""
        if check not in self._known:
            self._known[check] = judge_check(load_check(check)(), self.run)
        return self._known[check]

    def asked(self, check: str) -> Outcome | None:
        """What a check said that was asked for; None where it was not, for checks that have no defaults."""
        return self._known.get(check)

    def failed(self, check: str) -> Finding | None:
        """The finding of a check that failed, or warned, on a measurement."""
        outcome = self.outcome(check)
        return outcome.finding if outcome.status in (Status.FAILED, Status.WARNING) else None

    def failures(self, *bad: Status) -> frozenset[str]:
        """Names of the checks that are known to have failed or warned on a measurement, or to have ``bad``."""
        bad = bad or (Status.FAILED, Status.WARNING)
        return frozenset(name for name, o in self._known.items() if o.status in bad and o.finding is not None)

    def ruled_out(self, problems: Mapping[str, str]) -> tuple[RuledOut, ...]:
        """For each check -> problem: that it looked, and how often, where it did and found nothing."""
        outcomes = {check: self.outcome(check) for check in problems}
        return tuple(
            RuledOut(problem=problems[check], check=check, evaluated=outcome.evaluated)
            for check, outcome in outcomes.items()
            if outcome.status in (Status.PASSED, Status.PENDING) and outcome.evaluated
        )

    def last(self, metric: str) -> float | None:
        """The latest value of a metric."""
        values = self.run.series(metric).values
        return float(values[-1]) if len(values) else None


class Cause:
    """Base of all causes; the docstring's first line says what it is."""

    reads_loss: ClassVar[bool] = False
    """It rests on the weights of the loss terms: where they were recovered from a history, the evidence says so."""

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        """The cause with its evidence, or None where the run does not show it."""
        raise NotImplementedError

    def name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def about(self) -> str:
        """What it is, in a sentence or more."""
        return (self.__doc__ or "").strip()

    def subject(self) -> str:
        """The folder below ``lvmcheck/causes`` that it is in."""
        return type(self).__module__.split(".")[2]

    def cases(self) -> tuple[Sequence[CauseCase], Sequence[CauseCase]]:
        """Runs in which it must not be named, and runs that show it."""
        module = sys.modules[type(self).__module__]
        return module.PASSES, module.FAILS


@dataclass(frozen=True, kw_only=True)
class CauseCase:
    """A run that shows a cause, or does not, and what the diagnosis must hold."""

    name: str
    run: Run
    standing: Standing | None = None
    facts: Mapping[str, Scalar] = field(default_factory=dict)

    def mismatch(self, diagnosis: Diagnosis) -> str:
        """The first thing that the diagnosis does not hold as required; empty where it holds all."""
        if self.standing is not None and diagnosis.standing is not self.standing:
            return f"standing: expected {self.standing.name}, got {diagnosis.standing.name}"
        known = {fact.name: fact.value for fact in diagnosis.evidence}
        bad = (name for name, value in self.facts.items() if name not in known or not same(value, known[name]))
        return next(
            (f"fact {name}: expected {self.facts[name]!r}, got {known.get(name, 'absent')!r}" for name in bad), ""
        )


@cache
def _files() -> dict[str, str]:
    """Name of each built-in cause with a file of its own -> its module, from the file system alone."""
    paths = [path for path in sorted(CAUSES.glob("*/*.py")) if not path.stem.startswith("_")]
    return {path.stem: f"lvmcheck.causes.{path.parent.name}.{path.stem}" for path in paths}


@cache
def _entries() -> dict[str, tuple[str, Cause]]:
    """Name of each built-in cause without a file of its own -> the module of its table, and the cause."""
    paths = [path for path in sorted(CAUSES.glob("*/tables/*.py")) if not path.stem.startswith("_")]
    tables = [f"lvmcheck.causes.{path.parents[1].name}.tables.{path.stem}" for path in paths]
    return {cause.name(): (table, cause) for table in tables for cause in importlib.import_module(table).CAUSES}


def cause_names() -> list[str]:
    """Names of the built-in causes."""
    return sorted({*_files(), *_entries()})


def cause_file(name: str) -> Path:
    """Where a built-in cause is written."""
    module = _entries()[name][0] if name in _entries() else _files()[name]
    return CAUSES.parent.parent.joinpath(*module.split(".")).with_suffix(".py")


@cache
def load_cause(name: str) -> Cause:
    """The cause of that name.

    Raises:
        InputError: there is none.
    """
    if name in _entries():
        return _entries()[name][1]
    if name not in _files():
        raise InputError(f"cause {name!r}", "no such cause", fix=nearest(name, cause_names()))
    module = importlib.import_module(_files()[name])
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Cause) and item.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must define exactly one cause, found {len(found)}")
    cause: Cause = found[0]()
    return cause


def diagnose(run: Run, verdicts: Sequence[Verdict] = ()) -> list[Diagnosis]:
    """Causes that the run shows: what brings others about first, by standing, then by the share of the failed checks
    that they explain.

    Args:
        run: the run so far.
        verdicts: answers that are known already; checks that are not among them are judged with their defaults.
    """
    evidence = Evidence(run, verdicts)
    found = []
    for name in cause_names():
        cause = load_cause(name)
        diagnosis = cause.diagnose(evidence)
        if diagnosis is not None and cause.reads_loss and evidence.weights is not None:
            diagnosis = replace(diagnosis, evidence=(*diagnosis.evidence, *weight_facts(evidence.weights)))
        if diagnosis is not None:
            found.append(diagnosis)
    return ranked(found, evidence.failures(), evidence.failures(Status.FAILED))


def ranked(
    found: Sequence[Diagnosis], failures: frozenset[str], grave: frozenset[str] = frozenset()
) -> list[Diagnosis]:
    """The order of causes.

    One that another brings about has at most the other's rank, and comes behind it; so does one that is measured and
    accounts for warnings alone where checks failed, behind what is likely.

    Args:
        failures: checks that failed or warned.
        grave: those that failed.
    """
    named = {diagnosis.name: diagnosis for diagnosis in found}

    def place(diagnosis: Diagnosis, below: frozenset[str] = frozenset()) -> tuple[Standing, int]:
        """Standing that counts, and how many causes lie above one another before it."""
        below |= {diagnosis.name}
        above = [place(named[name], below) for name in diagnosis.after - below if name in named]
        above = [(standing, depth) for standing, depth in above if standing >= Standing.LIKELY]
        if grave and diagnosis.standing is Standing.MEASURED and not diagnosis.explains & grave:
            above.append((Standing.LIKELY, 0))
        if not above:
            return diagnosis.standing, 0
        return min(diagnosis.standing, max(above)[0]), 1 + max(depth for _, depth in above)

    def rank(diagnosis: Diagnosis) -> tuple[int, int, float, str]:
        standing, depth = place(diagnosis)
        return -standing, depth, -diagnosis.share(failures), diagnosis.name

    return sorted(found, key=rank)


def finding_facts(finding: Finding | None) -> tuple[Fact, ...]:
    """A finding as evidence: what was measured, by metric or code, then its own facts; () without one."""
    if finding is None:
        return ()
    name = finding.metric or finding.code
    measured = Fact(name, finding.measured, finding.unit, epoch=finding.epoch, step=finding.step)
    return (measured, *finding.evidence)


def weight_facts(weights: Weights) -> tuple[Fact, ...]:
    """Weights that were recovered from a history, as evidence."""
    terms = tuple(Fact(f"recovered_weight_{name}", weight) for name, weight in weights.weights.items())
    rest = (Fact(f"recovered_{weights.like.replace(' ', '_')}", weights.factor),) if weights.like else ()
    fit = (Fact("recovered_from", weights.epochs, "epochs"), Fact("recovered_residual", weights.residual))
    return (*terms, *rest, *fit)
