"""Words of a pre-flight: one line for each verdict, names and a fix below those that need attention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lvmcheck.checks.finding import Status, Verdict
from lvmcheck.checks.wording import evidence_lines, verdict_text

ATTENTION = (Status.FAILED, Status.ERROR, Status.WARNING)
_ORDER = (*ATTENTION, Status.PASSED, Status.NOT_RECORDED, Status.NOT_APPLICABLE)


def report_text(model: str, verdicts: Sequence[Verdict], fixes: Mapping[str, str], seconds: float) -> str:
    """The whole report; ``fixes`` by name of the probe."""
    counts = Counter(verdict.status for verdict in verdicts)
    summary = ", ".join(f"{counts[status]} {status.value}" for status in _ORDER if counts[status])
    lines = [f"preflight of {model}: {summary} in {seconds:.1f} s"]
    for verdict in sorted(verdicts, key=lambda verdict: _ORDER.index(verdict.status)):
        lines += verdict_lines(verdict, fixes.get(verdict.name, ""))
    return "\n".join(lines)


def verdict_lines(verdict: Verdict, fix: str) -> list[str]:
    """A verdict; with its evidence and fix where it needs attention."""
    shown = verdict_text(verdict)
    if verdict.status in (Status.NOT_APPLICABLE, Status.NOT_RECORDED):
        shown = f"{shown} ({verdict.status.value})"
    lines = [shown]
    if verdict.status in ATTENTION:
        lines += [f"    {line}" for line in evidence_lines(verdict.finding)]
        lines += [f"    fix: {fix}"] if fix else []
    return lines
