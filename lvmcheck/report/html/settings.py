"""The configuration of the runs, side by side, and what in it differs from the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lvmcheck.errors import InputError
from lvmcheck.report.html.report_run import ReportRun, text_of
from lvmcheck.report.html.text import listed
from lvmcheck.run import events as ev
from lvmcheck.statistics.differences import ABSENT, flat, same, shown
from lvmcheck.statistics.reference_file import Reference, find, read
from lvmcheck.text.fit import clean

KEYS = 400
OWN = ("seed", "device", "threads")
"""Settings in which a run may differ from a reference without being another kind of run."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A key with its values, each with the runs that have it; ``reference`` is set where a run differs from it."""

    key: str
    values: tuple[tuple[str, str], ...]
    reference: str | None

    @property
    def differs(self) -> bool:
        return len(self.values) > 1 or self.reference is not None


def references_of(runs: Sequence[ReportRun]) -> tuple[dict[str, Reference], list[str]]:
    """References of the suites by name, and what is wrong with those that cannot be read."""
    found: dict[str, Reference] = {}
    problems: list[str] = []
    for item in runs:
        device = text_of(item.run, "device")
        if not item.suite or not item.profile or not device or item.suite in found:
            continue
        if any(part in ("", ".", "..") for part in (*item.suite.split("/"), item.profile, device)):
            continue  # names from a file: no way out of the folder of references
        place = find(item.suite, item.profile, device)
        try:
            if place is not None:
                found[item.suite] = read(place)
        except InputError as problem:
            problems.append(clean(str(problem)))
    return found, list(dict.fromkeys(problems))


def settings_of(runs: Sequence[ReportRun], references: Mapping[str, Reference]) -> tuple[list[Setting], int]:
    """The settings of all runs, those that differ first, and how many more there are than are shown."""
    tables = [dict(flat(item.run.config)) for item in runs]
    keys = list(dict.fromkeys(key for table in tables for key in table))
    expected = [dict(flat(references[it.suite].config)) if it.suite in references else {} for it in runs]
    found = [_setting(key, runs, tables, expected) for key in keys[:KEYS]]
    return sorted(found, key=lambda setting: not setting.differs), max(0, len(keys) - KEYS)


def _setting(
    key: str, runs: Sequence[ReportRun], tables: Sequence[dict[str, object]], expected: Sequence[dict[str, object]]
) -> Setting:
    who: dict[str, list[str]] = {}
    for item, table in zip(runs, tables, strict=True):
        who.setdefault(clean(shown(table.get(key, ABSENT)), 300), []).append(item.label)
    others = {
        clean(shown(theirs[key]), 300)
        for table, theirs in zip(tables, expected, strict=True)
        if key in theirs and key not in OWN and not same(table.get(key, ABSENT), theirs[key])
    }
    values = tuple((value, "" if len(who) == 1 else listed(labels)) for value, labels in who.items())
    return Setting(key=clean(key, 120), values=values, reference=", ".join(sorted(others)) or None)


@dataclass(frozen=True, kw_only=True)
class RunAbout:
    """Where a run is and how it was made, in words."""

    label: str
    path: str
    ended: str
    model: str
    made: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def places_of(runs: Sequence[ReportRun]) -> list[RunAbout]:
    return [_place(item) for item in runs]


def _place(item: ReportRun) -> RunAbout:
    run = item.run
    versions = run.info.get("versions")
    named = versions.items() if isinstance(versions, Mapping) else ()
    about = (
        ("profile", item.profile),
        ("device", text_of(run, "device")),
        ("trainer", text_of(run, "trainer")),
        ("created", text_of(run, "created")),
        ("versions", ", ".join(f"{clean(k, 40)} {clean(v, 40)}" for k, v in list(named)[:20])),
        ("platform", text_of(run, "platform")),
        ("source digest", text_of(run, "source")[:16]),
    )
    models = run.of(ev.Model)
    return RunAbout(
        label=item.label,
        path=clean(run.path, 300) if run.path is not None else "",
        ended=clean(run.stopped_where()) if run.over else f"still running: {run.last_epoch} epochs so far",
        model=f"{clean(models[-1].kind, 80)}, {models[-1].parameters:,} parameters" if models else "",
        made=tuple((key, value) for key, value in about if value),
        notes=tuple(clean(note.text) for note in run.of(ev.Note)[:20]),
    )
