"""The answers of a pre-flight."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.watch.preflight.wording import report_text


@dataclass(frozen=True, kw_only=True)
class Report:
    """What :func:`lvmcheck.preflight` returns; true if nothing failed, and readable when printed.

    Args:
        model: name of the model's class.
        verdicts: one of each probe.
        fixes: name of a probe that found something -> what to do.
        seconds: how long it took.
    """

    model: str
    verdicts: tuple[Verdict, ...]
    fixes: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """Verdicts that failed, or could not be had because the probe crashed."""
        return tuple(verdict for verdict in self.verdicts if verdict.status in (Status.FAILED, Status.ERROR))

    @property
    def warnings(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.status is Status.WARNING)

    @property
    def subjects(self) -> tuple[str, ...]:
        """``probe:code`` of each probe that failed on a measurement."""
        bad = [verdict for verdict in self.verdicts if verdict.status is Status.FAILED]
        return tuple(f"{v.name}:{v.finding.code}" if v.finding is not None else v.name for v in bad)

    @property
    def values(self) -> dict[str, float]:
        """Counts of the answers, and what each failed probe measured where that is a number."""
        counts = Counter(verdict.status for verdict in self.verdicts)
        answered = counts[Status.PASSED] + counts[Status.FAILED] + counts[Status.WARNING]
        found = {"probes": float(answered), "failed": float(counts[Status.FAILED])}
        found |= {"warnings": float(counts[Status.WARNING]), "crashed": float(counts[Status.ERROR])}
        for verdict in self.failed:
            measured = None if verdict.finding is None else verdict.finding.measured
            if isinstance(measured, int | float):
                found[verdict.name] = float(measured)
        return found

    def __getitem__(self, name: str) -> Verdict:
        """The verdict of a probe."""
        return next(verdict for verdict in self.verdicts if verdict.name == name)

    def __bool__(self) -> bool:
        return not self.failed

    def __str__(self) -> str:
        return report_text(self.model, self.verdicts, self.fixes, self.seconds)
