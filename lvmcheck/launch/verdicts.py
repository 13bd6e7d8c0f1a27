"""The verdicts of a run: what its checks answered, with their address and what the suite expects of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lvmcheck.causes.protocol import Diagnosis
from lvmcheck.causes.wording import diagnosis_lines
from lvmcheck.checks.finding import Asked, Outcome, Status, Verdict, Why, passed
from lvmcheck.checks.verdict_json import verdict_json
from lvmcheck.checks.wording import evidence_lines, outcome_text
from lvmcheck.run import directory as rundir
from lvmcheck.suite import CheckEntry, Suite

Causes = Callable[[], Sequence[Diagnosis]]


def verdict_of(suite: Suite, entry: CheckEntry, outcome: Outcome, seed: int | str) -> Verdict:
    """The outcome of a suite's check with its address."""
    return Verdict(
        name=entry.node,
        check=entry.use,
        outcome=outcome,
        seed=seed,
        asked=Asked(file=str(suite.path), line=entry.line),
        source=entry.source,
    )


def as_expected(entry: CheckEntry, verdict: Verdict, causes: Causes) -> Verdict:
    """What a suite of known failures makes of a verdict: a pass only if it failed as the entry expects.

    Args:
        causes: of the run's failures; asked for only where the entry names words that must occur.
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
    if outcome.finding is None:
        return f"expected to fail on a measurement, but it was: {outcome.status.value}"
    if outcome.status is not Status.FAILED:
        return f"expected to fail, but it {outcome.status.value}"
    text = said(outcome, causes()).lower() if expect.says else ""
    missing = [word for word in expect.says if word.lower() not in text]
    if missing:
        return f"it failed, but its message does not say {missing[0]!r}"
    epoch = outcome.finding.epoch or 0  # what is found before training belongs to no epoch
    if expect.within_epoch is not None and epoch > expect.within_epoch:
        return f"it failed at epoch {epoch}, expected within epoch {expect.within_epoch}"
    return None


def said(outcome: Outcome, causes: Sequence[Diagnosis]) -> str:
    """All that was found, in the words that a person reads: sentence, evidence and the first cause."""
    lines = [outcome_text(outcome), *evidence_lines(outcome.finding)]
    return "\n".join([*lines, *(line for cause in causes[:1] for line in diagnosis_lines(cause))])


def write_verdicts(profile: str, verdicts: Iterable[Verdict], folder: Path) -> None:
    """Write ``verdicts.json``.

    Raises:
        InputError: the disk is full or the directory cannot be written.
    """
    body = {"profile": profile, "verdicts": [verdict_json(verdict) for verdict in verdicts]}
    rundir.write_json(folder / rundir.VERDICTS, body)
