"""The ``[run]`` table at one profile: which profiles there are, what they change, and what every run must have."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from lvmcheck.errors import InputError, excerpt, nearest
from lvmcheck.suite.source import Source

STANDARD = ("smoke", "ci", "full")
Table = dict[str, object]


def declared_profiles(source: Source) -> dict[str, Table]:
    """``[profile.<name>]`` tables by name."""
    profiles = source.table.get("profile", {})
    if not isinstance(profiles, dict):
        raise source.error(("profile",), "expected tables such as [profile.full]")
    for name, table in profiles.items():
        if not isinstance(table, dict):
            raise source.error(("profile", name), f"expected a table [profile.{name}] with keys of [run]")
        if re.fullmatch(r"[A-Za-z0-9_-]+", name) is None:
            raise source.error(("profile", name), "expected a name of letters, digits, _ and -")
    return cast(dict[str, Table], profiles)


def choose_profile(
    source: Source, declared: Iterable[str], requested: str | None, own: str | None, default: str
) -> tuple[str, tuple[str, ...]]:
    """The profile to use and all available ones: the standard ones and those with a table.

    One without a table is the plain ``[run]``. Unasked, the suite's ``default_profile`` is meant, else ``default``.
    """
    available = tuple(dict.fromkeys((*STANDARD, *declared)))
    if own is not None and own not in available:
        at = ("suite", "default_profile")
        raise source.error(at, f"no profile {excerpt(own)!r}", fix=nearest(own, available))
    chosen = requested or own or default
    if chosen not in available:
        raise InputError(source.path, f"no profile {excerpt(chosen)!r}", fix=nearest(chosen, available))
    return chosen, available


def merged_run(source: Source, profile: Table) -> Table:
    """``[run]`` under a profile: tables merge key by key one level deep, all else replaces."""
    run = cast(Table, copy.deepcopy(source.table["run"]))
    for key, value in copy.deepcopy(profile).items():
        old = run.get(key)
        run[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return run


def overridden_run(run: Table, overrides: Mapping[str, object], path: Path) -> Table:
    """A copy of ``run`` with dotted keys replaced: each exactly what it names, a whole table included."""
    run = copy.deepcopy(run)
    for key, value in overrides.items():
        table = run
        *front, final = key.split(".")
        for part in front:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                raise InputError(path, f"override {key!r}: {part} is not a table")
            table = inner
        table[final] = copy.deepcopy(value)
    return run
