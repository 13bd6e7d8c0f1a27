"""``[[check]]`` entries: from a table of the file to a check that exists, is typed and accepts its own values."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from lvmcheck.checks.across import Across, P, parse_across
from lvmcheck.errors import BadValueError, InputError, nearest
from lvmcheck.suite.lines import KeyPath
from lvmcheck.suite.model import CheckEntry, Expect
from lvmcheck.suite.source import Source, excerpt
from lvmcheck.suite.values import MismatchError, convert, expected

if TYPE_CHECKING:
    from lvmcheck.checks.protocol import Check

_OWN: dict[str, Any] = {
    "check": str,
    "name": str,
    "source": str,
    "abort": bool,
    "profiles": tuple[str, ...],
    "calibrated_on": str,
    "expect": dict[str, object],
    "across": str,
    "p": float,
}
_EXPECT: dict[str, Any] = {"outcome": str, "says": tuple[str, ...], "within_epoch": int}


def read_entries(source: Source, profiles: Sequence[str]) -> tuple[CheckEntry, ...]:
    """All checks of the file, whatever their profile.

    Args:
        profiles: names that an entry's ``profiles`` may use.
    """
    tables = cast(list[dict[str, object]], source.table["check"])
    entries = tuple(_entry(source, index, table, profiles) for index, table in enumerate(tables))
    _distinct(source, entries)
    return entries


def check_metrics(source: Source, entries: Iterable[CheckEntry], metrics: Sequence[str]) -> None:
    """Refuse a check on a metric that the trainer never logs."""
    for index, entry in enumerate(entries):
        for key in entry.check.metric_fields:
            value = getattr(entry.check, key, None)
            for metric in value if isinstance(value, tuple | list) else (value,):
                if isinstance(metric, str) and metric not in metrics:
                    problem = f"the trainer logs no metric {excerpt(metric)!r}"
                    raise _error(source, index, key, problem, nearest(metric, metrics))


def check_seeds(source: Source, entries: Sequence[CheckEntry], profile: str, seeds: Sequence[int]) -> None:
    """Refuse a question to several seeds that the seeds of this suite cannot answer."""
    for index, entry in enumerate(entries):
        if entry.across is None or not entry.belongs(profile):
            continue
        if entry.across.of is not None and entry.across.of != len(seeds):
            problem = f"counts {entry.across.of} seeds, and {len(seeds)} will run ({', '.join(map(str, seeds))})"
            raise _error(source, index, "across", problem)
        if entry.across.needed is None and len(seeds) < 2:
            problem = "one seed shows no spread, so nothing can be shown of the mean"
            raise _error(source, index, "across", problem, "Give at least two: seeds, or --lvm-seeds.")


def check_epochs(source: Source, entries: Sequence[CheckEntry], profile: str, epochs: int, line: int | None) -> None:
    """Refuse a check of this profile on an epoch that will not run.

    Args:
        line: where ``epochs`` was decided; None for an override.
    """
    by = "an override" if line is None else f"line {line}"
    for index, entry in enumerate(entries):
        if not entry.belongs(profile):
            continue
        within = None if entry.expect is None else entry.expect.within_epoch
        for key, epoch in (("epoch", getattr(entry.check, "epoch", None)), ("expect.within_epoch", within)):
            if isinstance(epoch, int) and epoch > epochs:
                problem = f"epoch {epoch} will not run: run.epochs is {epochs} by {by} (profile {profile})"
                raise _error(source, index, key, problem)


def _entry(source: Source, index: int, table: dict[str, object], profiles: Sequence[str]) -> CheckEntry:
    at: KeyPath = ("check", index)
    use = table.get("check")
    if use is None:
        raise _error(source, index, "check", "missing, expected the name of a check")
    own = {key: _value(source, index, key, table[key], hint) for key, hint in _OWN.items() if key in table}
    kind = _kind(source, index, str(use))
    hints = _fields(source, index, kind)
    source.only(table, at, (*_OWN, *hints), key=str(use))
    params = {key: _value(source, index, key, table[key], hint) for key, hint in hints.items() if key in table}
    for field in _settable(kind):
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and field.name not in params:
            raise _error(source, index, field.name, f"missing, expected {expected(hints[field.name])}")
    _known_profiles(source, index, own.get("profiles"), profiles)
    return CheckEntry(
        use=str(use),
        name=_name(source, index, own.get("name")),
        params=params,
        check=_build(source, index, kind, params),
        source=cast("str | None", own.get("source")),
        abort=bool(own.get("abort", False)),
        profiles=cast("tuple[str, ...] | None", own.get("profiles")),
        calibrated_on=cast("str | None", own.get("calibrated_on")),
        expect=_expect(source, index, cast("dict[str, object] | None", own.get("expect"))),
        across=_across(source, index, own),
        line=source.lines.nearest(at) or 1,
        lines=source.lines.below(at),
    )


def _kind(source: Source, index: int, use: str) -> type[Check]:
    from lvmcheck.checks.protocol import load_check

    try:
        return load_check(use)
    except InputError as problem:
        raise source.error(
            ("check", index, "check"), problem.problem, key=f"check {excerpt(use)!r}", fix=problem.fix
        ) from None
    except Exception as problem:
        text = f"cannot be imported ({type(problem).__name__}: {excerpt(str(problem), 200)})"
        raise source.error(("check", index, "check"), text, key=f"check {excerpt(use)!r}") from None


def _settable(kind: type[Check]) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(kind) if field.init]


def _fields(source: Source, index: int, kind: type[Check]) -> dict[str, Any]:
    """Annotation of each field of the check; a field that hides one of the keys of every entry is a defect of it."""
    try:
        hints = typing.get_type_hints(kind)
    except NameError as problem:
        raise _error(
            source, index, "check", f"{kind.__qualname__} has an annotation that is not defined: {problem}"
        ) from None
    fields = {field.name: hints[field.name] for field in _settable(kind)}
    hidden = sorted(set(fields) & set(_OWN))
    if hidden:
        raise _error(
            source, index, "check", f"{kind.__qualname__} has a field {hidden[0]!r}, which every check entry has"
        )
    return fields


def _value(source: Source, index: int, key: str, value: object, hint: Any) -> object:
    try:
        return convert(value, hint)
    except MismatchError as problem:
        raise _error(source, index, key, problem.problem, problem.fix) from None
    except TypeError as problem:
        raise _error(source, index, key, str(problem)) from None


def _build(source: Source, index: int, kind: type[Check], params: dict[str, object]) -> Check:
    """The check itself; a value that it refuses is reported at the line of the key its message begins with."""
    try:
        check = kind(**params)
        check.label()
    except InputError as problem:
        raise _error(source, index, problem.key or "", problem.problem, problem.fix) from None
    except (ValueError, TypeError) as problem:
        key, colon, text = str(problem).partition(":")
        if colon and key in params:
            raise _error(source, index, key, excerpt(text.strip(), 200)) from None
        raise _error(source, index, "", excerpt(str(problem), 200)) from None
    return check


def _expect(source: Source, index: int, table: dict[str, object] | None) -> Expect | None:
    if table is None:
        return None
    use = _use(source, index)
    source.only(table, ("check", index, "expect"), _EXPECT, key=f"{use}.expect")
    values = {key: _value(source, index, f"expect.{key}", item, _EXPECT[key]) for key, item in table.items()}
    if values.get("outcome", "failed") != "failed":
        raise _error(source, index, "expect.outcome", f'expected "failed", got "{excerpt(str(values["outcome"]))}"')
    epoch = cast("int | None", values.get("within_epoch"))
    if epoch is not None and epoch < 1:
        raise _error(source, index, "expect.within_epoch", f"expected integer >= 1, got {epoch}")
    return Expect(says=cast("tuple[str, ...]", values.get("says", ())), within_epoch=epoch)


def _across(source: Source, index: int, own: dict[str, object]) -> Across | None:
    """What several seeds must show together, when the entry asks for it."""
    if "across" not in own:
        if "p" in own:
            raise _error(source, index, "p", 'expected across = "mean" beside it')
        return None
    for key in ("abort", "expect"):
        if own.get(key):
            raise _error(source, index, key, "expected no such key beside across: it belongs to one run")
    try:
        return parse_across(str(own["across"]), cast(float, own.get("p", P)))
    except BadValueError as problem:
        raise _error(source, index, problem.key, problem.problem) from None


def _known_profiles(source: Source, index: int, names: object, known: Sequence[str]) -> None:
    if names == ():
        raise _error(source, index, "profiles", "expected at least one profile, got none")
    for name in cast("tuple[str, ...]", names or ()):
        if name not in known:
            raise _error(source, index, "profiles", f"no profile {excerpt(name)!r}", nearest(name, known))


def _name(source: Source, index: int, name: object) -> str | None:
    """A name becomes part of a pytest node id, so it must not look like two of them."""
    if name is None:
        return None
    text = str(name)
    if not text.strip() or not text.isprintable() or "::" in text or len(text) > 100:
        problem = f"expected 1 to 100 printable characters without '::', got {excerpt(text)!r}"
        raise _error(source, index, "name", problem)
    return text


def _distinct(source: Source, entries: Sequence[CheckEntry]) -> None:
    seen: dict[str, list[CheckEntry]] = {}
    for index, entry in enumerate(entries):
        for earlier in seen.setdefault(entry.node, []):
            if entry.profiles is None or any(map(earlier.belongs, entry.profiles)):
                problem = f"two checks are called {entry.node!r}, the first on line {earlier.line}"
                raise _error(source, index, "", problem, 'Give one of them a name = "...".')
        seen[entry.node].append(entry)


def _use(source: Source, index: int) -> str:
    return str(cast(list[dict[str, object]], source.table["check"])[index].get("check", "[[check]]"))


def _error(source: Source, index: int, key: str, problem: str, fix: str | None = None) -> InputError:
    """The error of a key of an entry, shown as ``cosine_floor.floor``."""
    use = excerpt(_use(source, index))
    at: KeyPath = ("check", index, *(key.split(".") if key else ()))
    return source.error(at, problem, key=f"{use}.{key}" if key else use, fix=fix)
