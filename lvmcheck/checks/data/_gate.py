"""What all gates share: the facts under ``gate.``, parts of the data, and outcomes over several parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.finding import Outcome, error, not_applicable, pending
from lvmcheck.checks.wording import figure
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared.compare import Numbers, UnmeasuredError, at_most, settle
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run


@dataclass(frozen=True)
class Facts(Numbers):
    """The recorded facts of the data."""

    def numbers(self, key: str) -> list[float]:
        """A list of at least one number."""
        values = self.known.get(key)
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise UnmeasuredError(f"{key!r} was not measured")
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
            raise UnmeasuredError(f"{key!r} is not a list of numbers")
        return [float(value) for value in values]

    def text(self, key: str) -> str | None:
        value = self.known.get(key)
        return value if isinstance(value, str) else None

    def parts(self, *, ood: bool = True) -> list[str]:
        """The corpora measured: ``data``, or ``train`` and ``validation``; and ``ood.<name>``."""
        values = self.known.get("gate.parts")
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise UnmeasuredError("the gates were not measured: 'gate.parts' is missing")
        found = [str(value) for value in values if ood or not str(value).startswith("ood.")]
        if not found:
            raise UnmeasuredError("the gates were measured on nothing: 'gate.parts' is empty")
        return found

    def share(self, part: str, count: str) -> float:
        """A count of rows over all rows of the part."""
        rows = self.number(f"gate.{part}.rows")
        if not rows > 0:
            raise UnmeasuredError(f"{said(part)} has no rows")
        return self.number(f"gate.{part}.{count}") / rows


@dataclass(frozen=True, kw_only=True)
class Gate(Check):
    """A check of the data, decided before the first step. Subclasses say what they judge in :meth:`gate`."""

    metric_fields: ClassVar[tuple[str, ...]] = ()
    data: ClassVar[str] = "vectors"
    """What it judges: vectors are what ``lvmcheck gate`` measures."""
    optional: ClassVar[str] = ""
    """What must be given besides the data; its reason for not being there is the fact ``gate.<optional>.skipped``."""

    def due(self, epochs: int) -> int:  # noqa: ARG002 - decided before the first epoch
        return 0

    def gate(self, facts: Facts) -> Outcome:
        """The answer; an unmeasured fact is an error."""
        raise NotImplementedError

    def judge(self, run: Run) -> Outcome:
        if not run.of(ev.Data):
            return error("the run records no facts about its data") if run.last_epoch else pending("awaits the data")
        facts = Facts(run.facts)
        skipped = facts.text(f"gate.{self.optional}.skipped") if self.optional else None
        if skipped is not None:
            return not_applicable(skipped)
        try:
            return self.gate(facts)
        except UnmeasuredError as problem:
            return error(str(problem))


def said(part: str) -> str:
    """A part in words."""
    return f"OOD {part.removeprefix('ood.')}" if part.startswith("ood.") else "the data" if part == "data" else part


def few_rows(facts: Facts, kind: str, words: str, limit: float) -> Outcome:
    """Whether, in every part, at most ``limit`` of the rows are of a faulty ``kind``; the first such row is named."""
    found = []
    for part in facts.parts():
        evidence = [f"{figure(facts.number(f'gate.{part}.{kind}_rows'))} rows"]
        first = f"gate.{part}.first_{kind}_row"
        if facts.has(first):
            evidence.append(f"first: row {figure(facts.number(first))}")
        found.append(
            at_most(f"share of {words} rows in {said(part)}", facts.share(part, f"{kind}_rows"), limit, evidence)
        )
    return settle(found)
