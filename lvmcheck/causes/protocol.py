"""The cause protocol: from failed checks and the run's own figures to a ranked root cause.

A cause is one file below ``lvmcheck/causes`` with one subclass of :class:`Cause`; its module's ``PASSES`` are runs in
which it must not be named, its ``FAILS`` runs in which it must come first.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar

from lvmcheck.checks.finding import Finding, Outcome, Status, Verdict
from lvmcheck.checks.protocol import judge as judge_check
from lvmcheck.checks.protocol import load_check
from lvmcheck.errors import InputError, nearest
from lvmcheck.run.view import Run
from lvmcheck.run.weights import with_weights

CAUSES = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A root cause, in the words of the field.

    Args:
        name: the cause's module.
        sentence: what is wrong.
        evidence: sentences with figures, strongest first.
        ruled_out: what it is not, and the figure that says so.
        fix: what to change.
        next: the command to type.
        score: confidence in [0, 1]; the list is ranked by it.
    """

    name: str
    sentence: str
    evidence: tuple[str, ...]
    fix: str
    next: str
    score: float
    ruled_out: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Lines for a terminal, the sentence first."""
        return [
            f"likely cause: {self.sentence}",
            *(f"  - {item}" for item in self.evidence),
            *(f"  not: {item}" for item in self.ruled_out),
            f"fix: {self.fix}",
            f"next: {self.next}",
        ]

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "score": round(self.score, 3),
            "sentence": self.sentence,
            "evidence": list(self.evidence),
            "not": list(self.ruled_out),
            "fix": self.fix,
            "next": self.next,
        }


class Evidence:
    """A run and what checks say of it: verdicts that were asked for first, else the check with its defaults."""

    def __init__(self, run: Run, verdicts: Iterable[Verdict] = ()) -> None:
        self.run, self.weights = with_weights(run)
        self._known: dict[str, Outcome] = {}
        for verdict in verdicts:
            if verdict.status is Status.ERROR and self.weights is not None:
                continue  # what could not be judged for want of weights is judged with the recovered ones
            known = self._known.get(verdict.use)
            # Of several uses of one check the failed one is evidence; a pass elsewhere does not undo it.
            if known is None or known.status is not Status.FAILED:
                self._known[verdict.use] = verdict.outcome

    def outcome(self, use: str) -> Outcome:
        """What the check says of the run so far."""
        if use not in self._known:
            self._known[use] = judge_check(load_check(use)(), self.run)
        return self._known[use]

    def asked(self, use: str) -> Outcome | None:
        """What a check said that was asked for; None where it was not, for checks that have no defaults."""
        return self._known.get(use)

    def failed(self, use: str) -> Finding | None:
        """The finding of a check that failed on a measurement."""
        outcome = self.outcome(use)
        return outcome.finding if outcome.status is Status.FAILED else None

    def ruled_out(self, wrongs: Mapping[str, str]) -> tuple[str, ...]:
        """``numerical trouble (finite: none of 1,204 comparisons failed)`` for each check that looked."""
        said = []
        for use, wrong in wrongs.items():
            outcome = self.outcome(use)
            if outcome.status in (Status.PASSED, Status.PENDING) and outcome.evaluated:
                said.append(f"{wrong} ({use}: none of {outcome.evaluated:,} comparisons failed)")
        return tuple(said)

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

    @classmethod
    def name(cls) -> str:
        return cls.__module__.rpartition(".")[2]


@dataclass(frozen=True, kw_only=True)
class CauseCase:
    """A run that shows a cause, or does not; ``says`` are words that the diagnosis must contain."""

    name: str
    run: Run
    says: tuple[str, ...] = ()


@cache
def _files() -> dict[str, str]:
    """Name of each built-in cause -> its module, from the file system alone."""
    paths = [path for path in sorted(CAUSES.glob("*/*.py")) if not path.stem.startswith("_")]
    return {path.stem: f"lvmcheck.causes.{path.parent.name}.{path.stem}" for path in paths}


def cause_names() -> list[str]:
    """Names of the built-in causes."""
    return sorted(_files())


def load_cause(name: str) -> type[Cause]:
    """The cause of that name.

    Raises:
        InputError: there is none.
    """
    if name not in cause_names():
        raise InputError(f"cause {name!r}", "no such cause", fix=nearest(name, cause_names()))
    module = importlib.import_module(_files()[name])
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Cause) and item.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} must define exactly one cause, found {len(found)}")
    return found[0]


def diagnose(run: Run, verdicts: Sequence[Verdict] = ()) -> list[Diagnosis]:
    """Causes that the run shows, likeliest first.

    Args:
        run: the run so far.
        verdicts: answers that are known already; checks that are not among them are judged with their defaults.
    """
    evidence = Evidence(run, verdicts)
    found = []
    for name in cause_names():
        cause = load_cause(name)
        diagnosis = cause().diagnose(evidence)
        if diagnosis is not None and cause.reads_loss and evidence.weights is not None:
            diagnosis = replace(diagnosis, evidence=(*diagnosis.evidence, evidence.weights.sentence()))
        if diagnosis is not None:
            found.append(diagnosis)
    return sorted(found, key=lambda diagnosis: -diagnosis.score)
