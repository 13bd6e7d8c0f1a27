"""The answers of a pre-flight."""

from __future__ import annotations

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

    def __getitem__(self, name: str) -> Verdict:
        """The verdict of a probe."""
        return next(verdict for verdict in self.verdicts if verdict.name == name)

    def __bool__(self) -> bool:
        return not self.failed

    def __str__(self) -> str:
        return report_text(self.model, self.verdicts, self.fixes, self.seconds)
