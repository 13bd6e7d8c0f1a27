"""What all gates share: the facts under ``gate.``, parts of the data, and outcomes over several parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lvmcheck.checks.finding import Finding, Outcome, Why, facts, not_applicable, not_recorded, pending
from lvmcheck.checks.protocol import Check
from lvmcheck.checks.shared.compare import Numbers, UnmeasuredError, at_most, settle
from lvmcheck.run import events as ev
from lvmcheck.run.view import Run

ADD_IDS = (
    "Add one integer for each window, np.savez(file, **np.load(file), article_ids=ids), or for each row as article.npy "
    "beside vectors.npy"
)


@dataclass(frozen=True)
class DataFacts(Numbers):
    """The recorded facts of the data."""

    def numbers(self, key: str) -> list[float]:
        """A list of at least one number."""
        values = self.known.get(key)
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise UnmeasuredError(f"{key!r} is not recorded")
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
            raise UnmeasuredError("'gate.parts' is not recorded")
        found = [str(value) for value in values if ood or not str(value).startswith("ood.")]
        if not found:
            raise UnmeasuredError("'gate.parts' is empty: no data were measured")
        return found

    def share(self, part: str, count: str) -> float:
        """A count of rows over all rows of the part."""
        rows = self.number(f"gate.{part}.rows")
        if not rows > 0:
            raise UnmeasuredError(f"{part} has no rows")
        return self.number(f"gate.{part}.{count}") / rows


@dataclass(frozen=True, kw_only=True)
class Gate(Check):
    """A check of the data, decided before the first step. Subclasses give the answer in :meth:`gate`."""

    metric_fields: ClassVar[tuple[str, ...]] = ()
    data: ClassVar[str] = "vectors"
    """The kind of data it judges; ``lvmcheck gate`` measures vectors."""
    optional: ClassVar[str] = ""
    """An input besides the data; where it was not given, the fact ``gate.<optional>.skipped`` says why."""

    def due(self, epochs: int) -> int:  # noqa: ARG002 - decided before the first epoch
        return 0

    def gate(self, data: DataFacts) -> Outcome:
        """The answer; a fact that was not measured is "not recorded"."""
        raise NotImplementedError

    def judge(self, run: Run) -> Outcome:
        absent = no_data_yet(run)
        if absent is not None:
            return absent
        data = DataFacts(run.facts)
        skipped = data.text(f"gate.{self.optional}.skipped") if self.optional else None
        if skipped is not None:
            return not_applicable(skipped)
        try:
            return self.gate(data)
        except UnmeasuredError as problem:
            return not_recorded(str(problem))


def without_ids(what: str) -> Outcome:
    """What nobody can judge of data without article ids, and how to add them."""
    return not_recorded(f"{what}: the data have no article ids. {ADD_IDS}", Why.NOT_IN_FORMAT)


def no_data_yet(run: Run) -> Outcome | None:
    """Pending, or "not recorded" after an epoch, where the run has no data event; None where it has one."""
    if run.of(ev.Data):
        return None
    return not_recorded("the run records no facts about its data") if run.last_epoch else pending("the data")


def few_rows(data: DataFacts, kind: str, limit: float) -> Outcome:
    """Whether, in every part, at most ``limit`` of the rows are of a faulty ``kind``; the first such row is named."""
    return settle([_share_of_rows(data, part, kind, limit) for part in data.parts()])


def _share_of_rows(data: DataFacts, part: str, kind: str, limit: float) -> Finding:
    first = f"gate.{part}.first_{kind}_row"
    return at_most(
        f"{kind}_rows",
        data.share(part, f"{kind}_rows"),
        limit,
        evidence=facts(
            {"first_row": data.number(first)} if data.has(first) else None,
            part=part,
            rows=data.number(f"gate.{part}.{kind}_rows"),
            of_rows=data.number(f"gate.{part}.rows"),
        ),
        phrase=f"{{part}}: share of {kind} rows {{measured}}",
    )
