"""What a Python test is told of a training that is not as it asks: figures, each seed, curve, cause, next command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lvmcheck.causes.protocol import Diagnosis, diagnose
from lvmcheck.causes.wording import STANDINGS, diagnosis_evidence, diagnosis_sentence
from lvmcheck.checks.finding import Fact, Finding, Status, Verdict
from lvmcheck.checks.protocol import evaluate
from lvmcheck.checks.wording import evidence_lines, figure, scalar
from lvmcheck.report.failure import headline, required_by, short
from lvmcheck.report.progress import sparkline
from lvmcheck.report.verdicts import seed_text
from lvmcheck.run.view import Run
from lvmcheck.run.weights import with_weights

SPREAD = ("mean", "standard_deviation", "interval_95_low", "interval_95_high", "seeds")
ROOM, LINES = 600, 7
"""Characters and lines of an assertion's explanation that pytest shows without ``-vv``."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is said of one verdict: the headline, lines in the order of their use, and the evidence behind them."""

    headline: str
    lines: tuple[str, ...]
    evidence: tuple[str, ...] = ()

    @property
    def short(self) -> tuple[str, ...]:
        """Headline and lines, as many as an assertion has room for."""
        kept = [self.headline]
        for line in self.lines:
            if len(kept) == LINES or sum(map(len, kept)) + len(line) > ROOM:
                break
            kept.append(line)
        return tuple(kept)

    @property
    def rest(self) -> tuple[str, ...]:
        """What :attr:`short` leaves out."""
        return (*self.lines[len(self.short) - 1 :], *self.evidence)

    @property
    def whole(self) -> tuple[str, ...]:
        return (self.headline, *self.lines, *self.evidence)


def told(verdict: Verdict, run: Run, metric: str | None = None, *, where: bool = False) -> Told:
    """Everything to say of a verdict that is no pass.

    Args:
        run: the run that is furthest from what was asked.
        metric: whose curve is shown.
        where: also the line that asks, where pytest does not show it.
    """
    cause = next(iter(_causes(verdict, run)), None)
    place = short(run.path) if run.path is not None else ""
    lines = [*_seeds(verdict.finding), *_curve(run, metric)]
    lines += [] if verdict.finding is not None and _several(verdict.finding) else evidence_lines(verdict.finding)
    lines += required_by(verdict) if where else []
    if cause is None:
        lines += [f"next: lvmcheck diagnose {place}"] if place else []
        return Told(headline=_headline(verdict), lines=tuple(lines))
    lines.append(f"{STANDINGS[cause.standing]}: {diagnosis_sentence(cause)}")
    lines += [f"next: {cause.next}", f"fix: {cause.fix}"]
    evidence = [f"  - {line}" for line in diagnosis_evidence(cause)]
    return Told(
        headline=_headline(verdict), lines=tuple(lines), evidence=(*evidence, *([f"run   {place}"] if place else []))
    )


def _headline(verdict: Verdict) -> str:
    unfit = f"{verdict.status.value}: " if verdict.status is Status.NOT_APPLICABLE else ""
    return unfit + headline(verdict)


def _causes(verdict: Verdict, run: Run) -> Sequence[Diagnosis]:
    if verdict.status is not Status.FAILED:
        return ()
    judged = with_weights(run)[0]
    return diagnose(run, [*evaluate(judged), verdict])


def _several(finding: Finding) -> bool:
    return finding.fact("seeds") is not None


def _seeds(finding: Finding | None) -> list[str]:
    """``seed0 0.5480, seed1 0.5600; 95 % interval of the mean 0.5349 to 0.5693``."""
    if finding is None or not _several(finding):
        return []
    said = ", ".join(_seed(fact, finding) for fact in finding.evidence if fact.name not in SPREAD)
    low, high = finding.fact("interval_95_low"), finding.fact("interval_95_high")
    if low is not None and high is not None:
        said += f"; 95 % interval of the mean {scalar(low.value)} to {scalar(high.value)}"
    return [said]


def _seed(fact: Fact, finding: Finding) -> str:
    where = f" at epoch {fact.epoch}" if fact.epoch not in (None, finding.epoch) else ""
    return f"{fact.name} {scalar(fact.value)}{where}"


def _curve(run: Run, metric: str | None) -> list[str]:
    """``▁▃▅▇  val_accuracy 0.1 -> 0.55 over 5 epochs (seed1)``."""
    if metric is None:
        return []
    series = run.series(metric)
    if not len(series):
        return []
    values = series.values.tolist()
    span = f"{figure(values[0])} -> {figure(values[-1])}, epochs {series.epochs[0]} to {series.epochs[-1]}"
    return [f"{sparkline(values, 40)}  {metric} {span} ({seed_text(run.seed)})"]
