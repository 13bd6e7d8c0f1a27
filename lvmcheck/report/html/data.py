"""What the runs were trained on: the lag profile as a figure, the facts of the gates as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lvmcheck.report.html.figures import Figure, Level, PlotCurve
from lvmcheck.report.html.report_run import ReportRun
from lvmcheck.report.html.text import fact, listed, name_text, shown
from lvmcheck.run import events as ev
from lvmcheck.text.fit import clean

PROFILE = "lag_profile"
PARTS = 8
FACTS = 200
SETS = 6
"""Data sets of one report whose facts are written out; more are named."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One data set of the report: ``parts`` are the columns of ``gates`` (train, validation, OOD sets)."""

    name: str
    fingerprint: str
    runs: str
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    parts: tuple[str, ...]
    gates: tuple[tuple[str, tuple[str, ...]], ...]


def data_sets(runs: Sequence[ReportRun]) -> tuple[list[DataSet], int]:
    """The data sets by fingerprint, and how many more there are than are shown."""
    users: dict[str, list[ReportRun]] = {}
    for item in runs:
        if item.run.of(ev.Data):
            users.setdefault(_same(item), []).append(item)
    found = [_data_set(who) for who in list(users.values())[:SETS]]
    return found, max(0, len(users) - SETS)


def _same(item: ReportRun) -> str:
    """Runs share a table where their facts are alike as people read them; seeds draw their own training vectors."""
    return json.dumps([str(item.run.data_name), {k: fact(v) for k, v in item.run.facts.items()}], default=str)


def _data_set(who: Sequence[ReportRun]) -> DataSet:
    run = who[0].run
    event = run.of(ev.Data)[-1]
    plain = [(k, v) for k, v in run.facts.items() if not k.startswith(("gate.", "ood."))][:FACTS]
    parts, gates = gate_table(run.facts)
    return DataSet(
        name=clean(event.name, 120),
        fingerprint=clean(event.fingerprint[:16]),
        runs=listed([item.label for item in who]),
        notes=tuple(clean(note) for note in event.notes[:10]),
        facts=tuple((name_text(str(k)), fact(v)) for k, v in plain),
        parts=parts,
        gates=gates,
    )


def gate_table(facts: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Columns (parts of the data) and rows (fact, a value a part) of the facts ``gate.<part>.<fact>``."""
    named = facts.get("gate.parts")
    parts = [str(part) for part in named][:PARTS] if isinstance(named, list) else []
    rows: dict[str, dict[str, str]] = {}
    for key, value in facts.items():
        part = next((part for part in parts if key.startswith(f"gate.{part}.")), None)
        if part is not None:
            rows.setdefault(name_text(key.removeprefix(f"gate.{part}.")), {})[part] = fact(value)
        elif key.startswith("ood.") and (part := next((p for p in parts if key.startswith(f"{p}.")), None)):
            rows.setdefault(name_text(key.removeprefix(f"{part}.")), {})[part] = fact(value)
    table = [(name, tuple(cells.get(part, "") for part in parts)) for name, cells in list(rows.items())[:FACTS]]
    return tuple(clean(part, 60) for part in parts), tuple(table)


# -- the lag profile ---------------------------------------------------------------------------------------------------
def lag_figures(runs: Sequence[ReportRun]) -> Iterator[Figure]:
    """Mean cosine of a vector with the one ``lag`` before it, a figure for each part of the data."""
    parts: dict[str, list[PlotCurve]] = {}
    chance: dict[str, list[float]] = {}
    for index, item in enumerate(runs):
        for part, values, random in _profiles(item.run.facts):
            curve = PlotCurve(
                name=item.label, run=index, x=np.arange(1, len(values) + 1, dtype=np.float64), y=np.array(values)
            )
            parts.setdefault(part, []).append(curve)
            chance.setdefault(part, []).extend([random] if random is not None else [])
    for number, (part, curves) in enumerate(list(parts.items())[:PARTS]):
        known = chance[part]
        level = [Level(label=f"random pairs {shown(max(known))}", kind="baseline", y=max(known))] if known else []
        title = f"cosine by lag, {clean(part, 60)}"
        yield Figure(key=f"lag-{number}", title=title, x="lag", curves=_once(curves), levels=tuple(level))


def _once(curves: Sequence[PlotCurve]) -> tuple[PlotCurve, ...]:
    """One curve where all runs have the same profile, as seeds of one corpus do."""
    if len(curves) > 1 and all(np.array_equal(curve.y, curves[0].y) for curve in curves):
        name = f"all {len(curves)} runs"
        return (PlotCurve(name=name, run=None, x=curves[0].x, y=curves[0].y),)
    return tuple(curves)


def _profiles(facts: Mapping[str, Any]) -> Iterator[tuple[str, list[float], float | None]]:
    """Part of the data, its profile and the cosine of random pairs; the gate's measurement where there is one."""
    gated = [key for key in facts if key.startswith("gate.") and key.endswith(f".{PROFILE}")]
    plain = [] if "gate.validation.lag_profile" in gated else [PROFILE]
    for key in (*gated, *plain, *(k for k in facts if k.startswith("ood.") and k.endswith(f".{PROFILE}"))):
        values = facts.get(key)
        if not isinstance(values, list) or not values or not all(_is_number(value) for value in values[:1000]):
            continue
        owner = key.removesuffix(PROFILE).rstrip(".")
        random = facts.get(f"{owner}.random_cosine")
        part = owner.removeprefix("gate.") or "validation"
        yield part, [float(value) for value in values[:1000]], random if _is_number(random) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
