"""What causes of watched loops share: the check measured the fault itself, so that its finding is the evidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lvmcheck.causes.cases import case
from lvmcheck.causes.protocol import Cause, CauseCase, Diagnosis, Evidence, Standing, finding_facts
from lvmcheck.checks.finding import Finding
from lvmcheck.checks.shared.cases import window_run
from lvmcheck.checks.watch._watched import case_run, watched
from lvmcheck.run.events import Watch
from lvmcheck.run.preflights import PREFLIGHT
from lvmcheck.run.view import Run


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Findings that mean a cause, and what is said of it.

    Args:
        checks: checks that measure the fault, the most direct first.
        codes: codes of their findings that mean it; by default any.
        explains: further checks whose failure it accounts for.
        probes: probes of a pre-flight whose failure means it, as ``probe`` or ``probe:code``.
        after: causes that bring it about.
    """

    checks: Sequence[str] = ()
    phrase: str
    fix: str
    codes: Sequence[str] = ()
    standing: Standing = Standing.MEASURED
    explains: Sequence[str] = ()
    also: Sequence[str] = ()
    tell_apart: str = ""
    probes: Sequence[str] = ()
    after: Sequence[str] = ()

    def diagnosis(self, cause: str, evidence: Evidence) -> Diagnosis | None:
        """The diagnosis where one of the checks failed or warned; None where none did, or the run was not watched."""
        if not evidence.run.of(Watch):
            return None
        found: list[tuple[str, Finding]] = []
        for check in self.checks:
            finding = evidence.failed(check)
            nothing = finding is not None and isinstance(finding.measured, float) and math.isnan(finding.measured)
            if finding is not None and (not self.codes or (finding.code in self.codes and not nothing)):
                found.append((check, finding))
        before = preflight_finding(evidence, *self.probes) if self.probes else None
        if before is not None:
            found.append(("preflight_passed", before))
        if not found:
            return None
        return Diagnosis(
            name=cause,
            standing=self.standing,
            phrase=self.phrase,
            evidence=tuple({fact.name: fact for _, finding in found for fact in finding_facts(finding)}.values()),
            explains=frozenset({*(check for check, _ in found), *self.explains}),
            also=tuple(self.also),
            after=frozenset(self.after),
            tell_apart=self.tell_apart,
            fix=self.fix,
            next=f"lvmcheck explain {found[0][0]}",
        )


@dataclass(frozen=True, kw_only=True)
class Measured(Rule, Cause):
    """A cause that is a rule and no more: an entry of a table.

    Args:
        cause: its name.
        what: what it is, in a sentence.
        healthy: runs in which it must not be named, by name.
        shown: runs that show it, by name; a single one is tried for twice as long, too.
        unless: what rules it out.
    """

    cause: str
    what: str
    healthy: Mapping[str, Run]
    shown: Mapping[str, Run]
    unless: Callable[[Evidence], bool] = lambda _: False

    def diagnose(self, evidence: Evidence) -> Diagnosis | None:
        return None if self.unless(evidence) else self.diagnosis(self.cause, evidence)

    def name(self) -> str:
        return self.cause

    def about(self) -> str:
        return self.what

    def cases(self) -> tuple[Sequence[CauseCase], Sequence[CauseCase]]:
        healthy = [case(name, run) for name, run in self.healthy.items()]
        shown = [case(name, run, self.standing) for name, run in self.shown.items()]
        return [*healthy, UNWATCHED], [*shown, *([lasting(shown[0])] if len(shown) == 1 else [])]


def values(evidence: Evidence, name: str, key: str, absent: float = 0.0) -> list[float]:
    """One value of each event of a name."""
    return [event.values.get(key, absent) for event in watched(evidence.run, name)]


FIRST = 6
"""Measurements of gradients within which a parameter that never had one is known."""
KILLERS = ("learning_rate_too_high", "loss_sign", "diverging", "label_mismatch", "gradients_leap", "module_makes_nan")
"""Causes that take the gradient from parameters that had one."""


def lost_gradient(evidence: Evidence) -> bool:
    """Whether the parameters that get no gradient had one at the beginning of the run."""
    reached = watched(evidence.run, "gradient_reach")
    return not any(e.values.get("zero", 0.0) + e.values.get("none", 0.0) > 0 for e in reached[:FIRST])


DEEP = 8
"""Layers from which a gradient that is scaled in each of them gets to 0 by itself."""


def deep(evidence: Evidence) -> bool:
    """Whether a model has so many layers that a factor for each makes a gradient vanish."""
    layers = values(evidence, "depth", "layers")
    return bool(layers) and layers[0] >= DEEP


def preflight_finding(evidence: Evidence, *probes: str) -> Finding | None:
    """What the first of these probes (``probe``, or ``probe:code``) measured where a pre-flight of the run failed it.

    A probe that measured no number counts as one failure.
    """
    for event in evidence.run.of(Watch):
        for failed in event.subjects if event.name == PREFLIGHT else ():
            probe = failed.partition(":")[0]
            if failed in probes or probe in probes:
                step = event.step
                return Finding(code=failed, metric=probe, measured=event.values.get(probe, 1.0), step=step, bounds=())
    return None


def preflight_run(*failed: str, **measured: float) -> Run:
    """A run whose pre-flight failed these probes (``probe:code``)."""
    values = {"probes": 18.0, "failed": float(len(failed)), "warnings": 0.0, "crashed": 0.0, **measured}
    return case_run(PREFLIGHT, [values], failed)


UNWATCHED = case("not_watched", window_run([1.0, 0.5, 0.3, 0.2]))
"""A healthy run without measurements from inside: nothing may be named."""


def lasting(shown: CauseCase) -> CauseCase:
    """The same fault measured for twice as long, as the next steps of the run."""
    events = [event for event in shown.run.events if isinstance(event, Watch)]
    last = max(event.step for event in events)
    later = [replace(event, step=event.step + last) for event in events]
    return replace(shown, name=f"{shown.name}_for_long", run=shown.run.extended(later))
