"""The verdicts of a run: what its checks answered, with their address and what the suite expects of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.checks.finding import Asked, Outcome, Status, Verdict, Why, passed
from lvmcheck.checks.verdict_json import verdict_json
from lvmcheck.run import directory as rundir
from lvmcheck.suite import CheckEntry, Suite

Causes = Callable[[], Sequence[Diagnosis]]


def verdict_of(suite: Suite, entry: CheckEntry, outcome: Outcome, seed: int | str | None) -> Verdict:
    """The outcome of a suite's check with its address."""
    return Verdict(
        name=entry.node,
        check=entry.check.name(),
        outcome=outcome,
        seed=seed,
        asked=Asked(file=str(suite.path), line=entry.line),
        source=entry.source,
    )


def as_expected(entry: CheckEntry, verdict: Verdict, causes: Causes) -> Verdict:
    """What a suite of known failures makes of a verdict: a pass only if it failed as the entry expects.

    Args:
        causes: causes of the run's failures, the first ranked first; called only where the entry expects one.
    """
    expect, outcome = entry.expect, verdict.outcome
    if expect is None or outcome.status is Status.PENDING:
        return verdict
    why = _unexpected(entry, outcome, causes)
    if why is not None:
        reason = why if outcome.finding is not None else f"{why}: {outcome.reason}"
        failed = Outcome(
            status=Status.FAILED,
            finding=outcome.finding,
            why=Why.UNEXPECTED,
            reason=reason,
            evaluated=outcome.evaluated,
        )
        return replace(verdict, outcome=failed)
    assert outcome.finding is not None
    good = passed(outcome.finding, evaluated=max(1, outcome.evaluated))
    return replace(verdict, outcome=good, expected_failure=True)


def _unexpected(entry: CheckEntry, outcome: Outcome, causes: Causes) -> str | None:
    """How an outcome differs from what its entry expects; None where it does not."""
    expect = entry.expect
    assert expect is not None
    finding = outcome.finding
    if finding is None:
        return f"expected to fail on a measurement, but the outcome is: {outcome.status.value}"
    if outcome.status is not Status.FAILED:
        return f"expected to fail, but the outcome is: {outcome.status.value}"
    if expect.code is not None and finding.code != expect.code:
        return f"expected code {expect.code!r}, but it failed with {finding.code!r}"
    missing = next((name for name in expect.facts if finding.fact(name) is None), None)
    if missing is not None:
        known = ", ".join(fact.name for fact in finding.evidence) or "none"
        return f"expected fact {missing!r}, but the finding has: {known}"
    epoch = finding.epoch or 0  # what is found before training belongs to no epoch
    if expect.within_epoch is not None and epoch > expect.within_epoch:
        return f"expected to fail within epoch {expect.within_epoch}, but it failed at epoch {epoch}"
    first = next((cause.name for cause in causes()), None) if expect.cause is not None else None
    if first != expect.cause:
        return f"expected cause {expect.cause!r}, but the first is {first!r}"
    return None


def write_verdicts(profile: str, verdicts: Iterable[Verdict], folder: Path) -> None:
    """Write ``verdicts.json``.

    Raises:
        InputError: the disk is full or the directory cannot be written.
    """
    body = {"profile": profile, "verdicts": [verdict_json(verdict) for verdict in verdicts]}
    rundir.write_json(folder / rundir.VERDICTS, body)
