"""``[[check]]`` entries: from a table of the file to a check that exists and accepts its own values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from lvmcheck.checks.across import Across, P, parse_across
from lvmcheck.errors import BadValueError, InputError, excerpt, nearest
from lvmcheck.suite.lines import KeyPath
from lvmcheck.suite.model import CheckEntry
from lvmcheck.suite.source import Source
from lvmcheck.suite.tables import EntryTable
from lvmcheck.validation import validated

if TYPE_CHECKING:
    from lvmcheck.checks.protocol import Check

_OWN = tuple(field.name for field in dataclasses.fields(EntryTable))
Table = dict[str, object]


def read_entries(source: Source, profiles: Sequence[str]) -> tuple[CheckEntry, ...]:
    """All checks of the file, whatever their profile.

    Args:
        profiles: names that an entry's ``profiles`` may use.
    """
    tables = cast(list[Table], source.table["check"])
    entries = tuple(_entry(source, index, table, profiles) for index, table in enumerate(tables))
    _require_distinct(source, entries)
    return entries


def _entry(source: Source, index: int, table: Table, profiles: Sequence[str]) -> CheckEntry:
    if "check" not in table and "use" in table:
        raise entry_error(source, index, "use", "unknown key", "Did you mean 'check'?")
    with _at_its_line(source, index):
        own = validated(EntryTable, {key: value for key, value in table.items() if key in _OWN})
        across = None if own.across is None else parse_across(own.across, P if own.p is None else own.p)
    kind = _kind(source, index, own.check)
    keys = {key: value for key, value in table.items() if key not in _OWN}
    with _at_its_line(source, index):
        check = validated(kind, keys, also=_OWN)
        check.label()
    for name in own.profiles or ():
        if name not in profiles:
            raise entry_error(source, index, "profiles", f"no profile {excerpt(name)!r}", nearest(name, profiles))
    return _made(source, index, own, keys, check, across)


@contextmanager
def _at_its_line(source: Source, index: int) -> Iterator[None]:
    """Bad values of an entry become errors of its file."""
    try:
        yield
    except (BadValueError, InputError) as problem:
        raise entry_error(source, index, problem.key or "", problem.problem, problem.fix) from None
    except (ValueError, TypeError) as problem:
        raise entry_error(source, index, "", excerpt(str(problem), 200)) from None


def _made(
    source: Source, index: int, own: EntryTable, keys: Mapping[str, object], check: Check, across: Across | None
) -> CheckEntry:
    at: KeyPath = ("check", index)
    return CheckEntry(
        index=index,
        name=own.name,
        params={key: getattr(check, key) for key in keys},
        check=check,
        source=own.source,
        abort=own.abort,
        profiles=own.profiles,
        calibrated_on=own.calibrated_on,
        expect=own.expect,
        across=across,
        line=source.lines.nearest(at) or 1,
        lines=source.lines.below(at),
    )


def _kind(source: Source, index: int, name: str) -> type[Check]:
    from lvmcheck.checks.protocol import load_check

    at, shown = ("check", index, "check"), f"check {excerpt(name)!r}"
    try:
        kind = load_check(name)
    except InputError as problem:
        raise source.error(at, problem.problem, key=shown, fix=problem.fix) from None
    except BaseException as problem:  # a module that exits, or skips
        text = f"cannot be imported ({type(problem).__name__}: {excerpt(str(problem), 200)})"
        raise source.error(at, text, key=shown) from None
    hidden = sorted({field.name for field in dataclasses.fields(kind) if field.init} & set(_OWN))
    if hidden:
        text = f"{kind.__qualname__} has a field {hidden[0]!r}, which every check entry has"
        raise entry_error(source, index, "check", text)
    return kind


def _require_distinct(source: Source, entries: Sequence[CheckEntry]) -> None:
    seen: dict[str, list[CheckEntry]] = {}
    for entry in entries:
        for earlier in seen.setdefault(entry.node, []):
            if entry.profiles is None or any(map(earlier.belongs, entry.profiles)):
                problem = f"two checks are called {entry.node!r}, the first on line {earlier.line}"
                raise entry_error(source, entry.index, "", problem, 'Give one of them a name = "...".')
        seen[entry.node].append(entry)


# -- entries beside the run that they judge ----------------------------------------------------------------------------
def check_metrics(source: Source, entries: Iterable[CheckEntry], metrics: Sequence[str]) -> None:
    """Refuse a check on a metric that the trainer never logs."""
    for entry in entries:
        for key in entry.check.metric_fields:
            value = getattr(entry.check, key, None)
            for metric in value if isinstance(value, tuple | list) else (value,):
                if isinstance(metric, str) and metric not in metrics:
                    problem = f"the trainer logs no metric {excerpt(metric)!r}"
                    raise entry_error(source, entry.index, key, problem, nearest(metric, metrics))


def check_seeds(source: Source, entries: Iterable[CheckEntry], seeds: Sequence[int]) -> None:
    """Refuse a question to several seeds that the seeds of this suite cannot answer."""
    for entry in entries:
        if entry.across is None:
            continue
        if entry.across.of is not None and entry.across.of != len(seeds):
            problem = f"counts {entry.across.of} seeds, and {len(seeds)} will run ({', '.join(map(str, seeds))})"
            raise entry_error(source, entry.index, "across", problem)
        if entry.across.needed is None and len(seeds) < 2:
            problem = "one seed shows no spread, so nothing can be shown of the mean"
            fix = "Give at least two: seeds, or --lvm-seeds."
            raise entry_error(source, entry.index, "across", problem, fix)


def check_epochs(source: Source, entries: Iterable[CheckEntry], profile: str, epochs: int, line: int | None) -> None:
    """Refuse a check on an epoch that will not run.

    Args:
        line: where ``epochs`` was decided; None for an override.
    """
    by = "an override" if line is None else f"line {line}"
    for entry in entries:
        within = None if entry.expect is None else entry.expect.within_epoch
        for key, epoch in (("epoch", getattr(entry.check, "epoch", None)), ("expect.within_epoch", within)):
            if isinstance(epoch, int) and epoch > epochs:
                problem = f"epoch {epoch} will not run: run.epochs is {epochs} by {by} (profile {profile})"
                raise entry_error(source, entry.index, key, problem)


def entry_error(source: Source, index: int, key: str, problem: str, fix: str | None = None) -> InputError:
    """The error of a key of an entry, shown as ``cosine_floor.floor``."""
    table = cast(list[Table], source.table["check"])[index]
    name = excerpt(str(table.get("check", "[[check]]")))
    at: KeyPath = ("check", index, *(key.split(".") if key else ()))
    return source.error(at, problem, key=f"{name}.{key}" if key else name, fix=fix)
