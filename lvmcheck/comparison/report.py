"""The comparison as facts, as one screen of text and as JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lvmcheck.causes.diagnosis_json import diagnosis_json
from lvmcheck.causes.protocol import Diagnosis, diagnose
from lvmcheck.causes.wording import diagnosis_lines
from lvmcheck.checks.wording import figure
from lvmcheck.comparison.curves import CurveDiff, compare_metric, first_step
from lvmcheck.comparison.sides import Side
from lvmcheck.errors import several
from lvmcheck.run.events import Epoch
from lvmcheck.run.main_metrics import main_first, main_metric
from lvmcheck.run.roles import by_name
from lvmcheck.statistics.differences import factors, shown

FIRST = ("loss", "data", "model", "lr", "schedule", "optimizer", "curriculum", "warmup_steps", "batch_size", "epochs")
"""Settings to put back first when several differ: in the order in which they explained the seeds' failures."""
SHOWN_FACTORS, SHOWN_CURVES, FACT_SHARE = 8, 6, 0.02


@dataclass(frozen=True)
class Comparison:
    """B against A.

    Attributes:
        config: (key, a, b) of every setting that differs. facts: the same for facts of the data, beyond 2 %.
        curves: metrics both have, the most telling first. step: where the losses first differ.
        speed: samples per second of B over A's; None where not recorded.
        causes: what diagnosis finds in B and not in A.
    """

    a: Side
    b: Side
    config: tuple[tuple[str, object, object], ...]
    facts: tuple[tuple[str, object, object], ...]
    curves: tuple[CurveDiff, ...]
    step: int | None
    speed: float | None
    causes: tuple[Diagnosis, ...] = field(default=())

    @property
    def judged(self) -> CurveDiff | None:
        """The curve that decides: the first of the usual validation metrics that both sides have."""
        judged = main_metric(curve.metric for curve in self.curves)
        return next((curve for curve in self.curves if curve.metric == judged), None)

    @property
    def worse(self) -> bool | None:
        """Whether B is worse than A by more than repeats differ; None when that cannot be known."""
        curve = self.judged
        if curve is None or curve.differs is None:
            return None
        return curve.differs and not improved(curve)


def compare(a: Side, b: Side, *, noise: float | None = None) -> Comparison:
    """Everything that can be concluded about B against A.

    Args:
        noise: standard deviation between repeats of the judged metric, where known and the sides have no repeats.
    """
    names = [name for name in a.run.metric_names if name in b.run.metric_names]
    judged = main_metric(names)
    found = [c for n in main_first(names) if (c := compare_metric(n, a, b, noise if n == judged else None)) is not None]
    known = {diagnosis.name for diagnosis in diagnose(a.run)}
    return Comparison(
        a=a,
        b=b,
        config=tuple(sorted(_config(a, b), key=lambda item: _rank(item[0]))),
        facts=tuple(_facts(a.run.facts, b.run.facts)),
        curves=tuple(found),
        step=first_step(a.run, b.run),
        speed=_speed(a, b),
        causes=tuple(d for d in diagnose(b.run) if d.name not in known),
    )


def _config(a: Side, b: Side) -> list[tuple[str, object, object]]:
    if not a.run.config or not b.run.config:
        return []
    return [(key, old, new) for key, new, old in factors(b.run.config, a.run.config, ignore=("seed",))]


def _rank(key: str) -> int:
    head = key.partition(".")[0]
    return FIRST.index(head) if head in FIRST else len(FIRST)


def _facts(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """Facts of the data that differ; numbers by more than a fiftieth, lists of numbers in their largest part."""
    for key in a:
        if key in b and not _close(a[key], b[key]):
            yield key, a[key], b[key]


def _close(x: object, y: object) -> bool:
    if isinstance(x, list) and isinstance(y, list):
        return len(x) == len(y) and all(map(_close, x, y))
    if isinstance(x, bool) or isinstance(y, bool) or not isinstance(x, int | float) or not isinstance(y, int | float):
        return x == y
    return math.isclose(x, y, rel_tol=FACT_SHARE, abs_tol=1e-9)


def _speed(a: Side, b: Side) -> float | None:
    rates = []
    for side in (a, b):
        known = [e.samples_per_second for run in side.repeats for e in run.of(Epoch) if e.samples_per_second]
        rates.append(statistics.median(known) if known else None)
    return rates[1] / rates[0] if rates[0] and rates[1] else None


def improved(curve: CurveDiff) -> bool:
    """Whether B is better, as far as the metric's name says; a NaN never is."""
    return by_name(curve.metric).better(curve.b, curve.a)


# -- words -------------------------------------------------------------------------------------------------------------
def screen(found: Comparison) -> list[str]:
    """Lines for a terminal: verdict first, then what was changed, curves, data, speed and causes."""
    lines = [_verdict(found), f"  A {found.a.name}  ({found.a.seeds})", f"  B {found.b.name}  ({found.b.seeds})"]
    lines += _config_lines(found)
    lines += [f"data     {key} {_value(old)} -> {_value(new)}" for key, old, new in found.facts[:SHOWN_FACTORS]]
    lines += _more(len(found.facts) - SHOWN_FACTORS, "facts of the data")
    lines += [_curve(curve) for curve in found.curves[:SHOWN_CURVES]]
    lines += _more(len(found.curves) - SHOWN_CURVES, "metrics")
    if found.step is not None:
        lines.append(f"steps    the loss first differs in the window that ends at step {found.step:,}")
    if found.speed is not None:
        lines.append(f"speed    {found.speed:.2f} times A's samples per second")
    for number, cause in enumerate(found.causes, start=1):
        words = diagnosis_lines(cause)
        lines += [f"{number} {words[0]}", *(words[1:] if number == 1 else [])]
    if not found.causes:
        lines.append("no cause is known for B that A does not show as well")
    return lines


def _verdict(found: Comparison) -> str:
    curve = found.judged
    if curve is None:
        return "cannot be compared: no validation or training metric in common at any epoch"
    head = (
        f"{curve.metric} {figure(curve.a)} -> {figure(curve.b)} ({curve.difference:+.4g}) at epoch {curve.epochs[-1]}"
    )
    if curve.differs is None:
        return f"{head}; one run each: repeats are needed to tell this from noise (--noise, or more seeds)"
    if curve.first is None:
        return f"{head}: equal to the last digit"
    evidence = f"p {_p(curve.p)}, spread of repeats {figure(curve.spread)}"
    if not curve.differs:
        return f"{head}: within the spread of repeats ({evidence})"
    return f"{head}: {'better' if improved(curve) else 'WORSE'} ({evidence})"


def _p(p: float) -> str:
    return f"= {p:.2g}" if p >= 1e-6 else "< 1e-6"


def _config_lines(found: Comparison) -> list[str]:
    if not found.a.run.config or not found.b.run.config:
        blank = "A" if not found.a.run.config else "B"
        return [f"config   cannot be compared: {blank} records none"]
    if not found.config:
        return ["config   equal"]
    lines = [f"config   {key} {_value(old)} -> {_value(new)}" for key, old, new in found.config[:SHOWN_FACTORS]]
    lines += _more(len(found.config) - SHOWN_FACTORS, "settings")
    if len(found.config) > 1:
        key, old, _ = found.config[0]
        lines.append(
            f"         {len(found.config)} settings differ, so that none of them is shown to matter: "
            f"change one back at a time, {key} = {_value(old)} first"
        )
    return lines


def _value(value: object) -> str:
    if isinstance(value, list):
        return "[" + several([_value(item) for item in value], 6) + "]"
    return figure(value) if isinstance(value, float) else shown(value)


def _curve(curve: CurveDiff) -> str:
    parts = "equal at every epoch" if curve.first is None else f"first differ at epoch {curve.first}"
    if curve.parts is not None:
        parts += f", by more than repeats from epoch {curve.parts}"
    return f"{curve.metric:16} {figure(curve.a):>8} -> {figure(curve.b):<8} ({curve.difference:+.3g})  {parts}"


def _more(count: int, what: str) -> list[str]:
    return [f"         and {count} more {what}"] if count > 0 else []


def to_json(found: Comparison) -> dict[str, object]:
    """All of it as plain values."""
    return {
        "a": {"name": found.a.name, "seeds": [run.seed for run in found.a.repeats]},
        "b": {"name": found.b.name, "seeds": [run.seed for run in found.b.repeats]},
        "worse": found.worse,
        "config": [{"key": key, "a": a, "b": b} for key, a, b in found.config],
        "facts": [{"key": key, "a": a, "b": b} for key, a, b in found.facts],
        "curves": [
            {
                "metric": c.metric,
                "epoch": c.epochs[-1],
                "a": c.a,
                "b": c.b,
                "difference": c.difference,
                "first": c.first,
                "parts": c.parts,
                "p": None if math.isnan(c.p) else c.p,
                "spread": None if math.isnan(c.spread) else c.spread,
            }
            for c in found.curves
        ],
        "step": found.step,
        "speed": found.speed,
        "causes": [diagnosis_json(cause) for cause in found.causes],
    }
