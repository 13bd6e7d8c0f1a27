"""Words for findings, outcomes and verdicts, for every surface: the only place where fields become English.

Nothing reads these texts again: whoever needs a fact takes the field. Each is one line, fit to be shown whatever names
and values a run brings.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from string import Formatter

from lvmcheck.checks.bounds import Bound, BoundKind
from lvmcheck.checks.finding import Asked, Fact, Finding, Outcome, Scalar, Status, Verdict, Why
from lvmcheck.text.fit import one_line

MARKS = {
    Status.PASSED: "✓",
    Status.FAILED: "✗",
    Status.WARNING: "⚠",
    Status.ERROR: "!",
    Status.NOT_APPLICABLE: "–",
    Status.NOT_RECORDED: "–",
    Status.PENDING: "…",
}
SHARED = 76
"""Characters of a line that several facts share, so that it fits 80 columns with its indent."""
EXPECTED = "_expected"
"""End of the name of a fact that says what another one, of the same name without it, should have been."""
SUBJECTS = ("parameters", "modules", "module", "layers", "layer", "first")
"""Facts that name parts of a model."""
_BOUNDS = {BoundKind.FLOOR: "floor", BoundKind.CEILING: "ceiling", BoundKind.EQUAL: "required"}


# -- numbers and names -------------------------------------------------------------------------------------------------
def figure(value: float | None) -> str:
    """A number as people read it: 4 significant digits, thousands with commas, NaN by name, None as not measured."""
    if value is None:
        return "not measured"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    if 0.01 <= abs(value) < 1:
        return f"{value:.4f}"
    return f"{value:.4g}"


def scalar(value: Scalar, unit: str = "") -> str:
    """A value with its unit: ``0.48``, ``12 steps``, ``98.2 %``, ``31.5x``, ``yes``."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    shown = one_line(value) if isinstance(value, str) else figure(value)
    if not unit or value is None:
        return shown
    if value == 1 and unit.endswith("s") and not unit.endswith("ss"):
        unit = unit[:-1]
    return f"{shown}{unit}" if unit == "x" else f"{shown} {one_line(unit)}"


def spaced(identifier: str) -> str:
    """``val_cosine`` as ``val cosine``."""
    return one_line(identifier).replace("_", " ")


def plural(count: int, noun: str, several: str | None = None) -> str:
    """``1 epoch``, ``2 epochs``, ``3 classes``."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def at(epoch: int | None, step: int | None) -> str:
    """`` at epoch 2, step 500``; empty where neither is known."""
    places = [f"epoch {epoch}" if epoch is not None else "", f"step {step:,}" if step is not None else ""]
    said = ", ".join(place for place in places if place)
    return f" at {said}" if said else ""


# -- findings ----------------------------------------------------------------------------------------------------------
def fact_text(fact: Fact) -> str:
    """``mean of context 0.6`` or ``lowest loss 0.3 at epoch 4``."""
    return f"{spaced(fact.name)} {scalar(fact.value, fact.unit)}{at(fact.epoch, fact.step)}"


def bound_text(bound: Bound, finding: Finding | None = None) -> str:
    """``floor 0.48``, ``abort below 0.45``, ``ceiling 0.648 (best_linear + 0.01)``."""
    kind = _BOUNDS.get(bound.kind, "")
    if bound.kind is BoundKind.ABORT:
        rising = finding is None or any(other.kind is BoundKind.FLOOR for other in finding.bounds)
        kind = "abort below" if rising else "abort above"
    source = f" ({one_line(bound.source)})" if bound.source else ""
    value = f"{bound.value:.6g}" if isinstance(bound.value, float) else scalar(bound.value)
    return f"{kind} {value}{source}"


def bounds_text(finding: Finding) -> str:
    """``floor 0.48, abort below 0.45``; empty without bounds."""
    return ", ".join(bound_text(bound, finding) for bound in finding.bounds)


def sentence(finding: Finding) -> str:
    """``train cosine 0.253 at epoch 1 (floor 0.48, abort below 0.45)``."""
    where = at(finding.epoch, finding.step)
    bounds = bounds_text(finding)
    if finding.phrase:
        said = phrase(finding.phrase, finding)
        return said + where + (f" ({bounds})" if bounds else "")
    name = spaced(finding.metric or finding.code)
    shown = f"{name} {scalar(finding.measured, finding.unit)}{where}"
    return f"{shown} ({bounds})" if bounds else shown


def phrase(template: str, finding: Finding) -> str:
    """The template with fields (measured, metric, code) and facts by name."""
    values = {
        **{fact.name: scalar(fact.value, fact.unit) for fact in finding.evidence},
        "measured": scalar(finding.measured, finding.unit),
        "metric": spaced(finding.metric or ""),
        "code": spaced(finding.code),
    }
    return one_line(template.format_map(values))


def phrase_names(template: str) -> set[str]:
    """Names that a template takes."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def evidence_lines(finding: Finding | None) -> list[str]:
    """The facts that the sentence does not say already; short ones share a line."""
    if finding is None:
        return []
    said = phrase_names(finding.phrase)
    lines: list[str] = []
    open_line = False
    required = {fact.name: fact for fact in finding.evidence if fact.name.endswith(EXPECTED)}
    for fact in finding.evidence:
        if fact.name in said or fact.name in required:
            continue
        setting = required.get(f"{fact.name}{EXPECTED}")
        if setting is not None:  # a key of a configuration, as it is written there
            lines.append(f"{one_line(fact.name)} {scalar(fact.value)} (expected {scalar(setting.value)})")
            open_line = False
            continue
        text, short = fact_text(fact), not isinstance(fact.value, str)  # a list of names has commas of its own
        if open_line and short and len(lines[-1]) + 2 + len(text) <= SHARED:
            lines[-1] += f", {text}"
        else:
            lines.append(text)
        open_line = short
    return lines


def subjects_text(finding: Finding) -> str:
    """``: body.0.weight, body.0.bias``: what a finding is about, where its sentence does not name it."""
    said = phrase_names(finding.phrase)
    found = next((fact for fact in finding.evidence if fact.name in SUBJECTS and isinstance(fact.value, str)), None)
    return "" if found is None or found.name in said else f": {one_line(found.value)}"


# -- outcomes ----------------------------------------------------------------------------------------------------------
def outcome_text(outcome: Outcome) -> str:
    """The sentence of the finding (after what a suite expected of it instead), or why there is none."""
    reason = one_line(outcome.reason)
    if outcome.finding is not None:
        return f"{reason}: {sentence(outcome.finding)}" if reason else sentence(outcome.finding)
    awaits = f" (needed {outcome.awaits})" if outcome.awaits and outcome.status is not Status.PENDING else ""
    return reason + one_line(awaits)


def asked_text(asked: Asked | None, source: str | None) -> str:
    """``suites/amn_790k/suite.toml:41 (success criteria, item 1)``; empty where nobody asked."""
    if asked is None:
        return ""
    where = asked.file if asked.line is None else f"{asked.file}:{asked.line}"
    return one_line(f"{where} ({source})" if source else where)


def verdict_text(verdict: Verdict) -> str:
    """``✗ cosine_floor[train_cosine@1]  train cosine 0.253 at epoch 1 (floor 0.48, abort below 0.45)``."""
    return f"{MARKS[verdict.status]} {one_line(verdict.name)}  {outcome_text(verdict.outcome)}"


def counts_text(outcomes: Iterable[Outcome], *, going_on: bool = False) -> str:
    """``12 checks passed, 1 failed, 3 not reached``; what did not apply or was not recorded is left out.

    Args:
        going_on: more may be recorded: what is pending is still open.
    """
    counts = Counter(_counted(outcome) for outcome in outcomes)
    said = [f"{plural(counts['passed'], 'check')} passed"]
    said += [f"{counts[name]:,} {name}" for name in ("failed", "warned", "could not be judged") if counts[name]]
    said += [f"{counts[name]:,} {'open' if going_on else name}" for name in ("not reached",) if counts[name]]
    return ", ".join(said)


def _counted(outcome: Outcome) -> str:
    if outcome.status is Status.PENDING or outcome.why in (Why.NOT_REACHED, Why.RUN_ENDED):
        return "not reached"
    return {Status.ERROR: "could not be judged", Status.WARNING: "warned"}.get(outcome.status, outcome.status.value)
