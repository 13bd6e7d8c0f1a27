"""The ``[run]`` table at one profile: which profiles there are, what they change, and what every run must have."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from typing import cast

from lvmcheck.errors import InputError, nearest
from lvmcheck.suite.source import Source, excerpt
from lvmcheck.suite.values import MismatchError, convert

STANDARD = ("smoke", "ci", "full")
MAX_SEED = 2**32 - 1
Table = dict[str, object]
_SEEDS = "a list such as [0, 1, 2]"


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
    source: Source, declared: Iterable[str], asked: str | None, default: str
) -> tuple[str, tuple[str, ...]]:
    """The profile to use and all that could be asked for: the standard ones and those with a table.

    One without a table is the plain ``[run]``. Unasked, the suite's ``default_profile`` is meant, else ``default``.
    """
    suite = cast(Table, source.table["suite"])
    available = tuple(dict.fromkeys((*STANDARD, *declared)))
    own = suite.get("default_profile")
    if own is not None and own not in available:
        at = ("suite", "default_profile")
        raise source.error(at, f"no profile {excerpt(str(own))!r}", fix=nearest(str(own), available))
    chosen = asked or str(own or default)
    if chosen not in available:
        raise InputError(source.path, f"no profile {excerpt(chosen)!r}", fix=nearest(chosen, available))
    return chosen, available


def merged_run(source: Source, profile: Table, overrides: Mapping[str, object]) -> Table:
    """``[run]`` under a profile: tables merge key by key one level deep, all else replaces; then the overrides.

    Args:
        overrides: dotted keys below ``[run]``; each replaces exactly what it names, a whole table included.
    """
    run = cast(Table, copy.deepcopy(source.table["run"]))
    for key, value in copy.deepcopy(profile).items():
        old = run.get(key)
        run[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    for key, value in overrides.items():
        table = run
        *front, final = key.split(".")
        for part in front:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                raise InputError(source.path, f"override {key!r}: {part} is not a table")
            table = inner
        table[final] = copy.deepcopy(value)
    return run


def check_run(run: Table) -> None:
    """What every run has, whoever trains it: a trainer, epochs and seeds.

    Raises:
        InputError: ``key`` is the key below ``[run]``.
    """
    for key, hint, wanted in (
        ("trainer", str, "string"),
        ("epochs", int, "integer >= 1"),
        ("seeds", list[int], _SEEDS),
    ):
        if key not in run:
            raise InputError("run", f"missing, expected {wanted}", key=key)
        try:
            convert(run[key], hint)
        except MismatchError as mismatch:
            raise InputError("run", mismatch.problem, key=key) from None
    if "seed" in run:
        raise InputError("run", "unknown key", key="seed", fix=f"Write seeds, {_SEEDS}; each run gets one of them.")
    epochs, seeds = cast(int, run["epochs"]), cast(list[int], run["seeds"])
    if epochs < 1:
        raise InputError("run", f"expected integer >= 1, got {epochs}", key="epochs")
    if not seeds:
        raise InputError("run", f"expected {_SEEDS}, got none", key="seeds")
    for seed in seeds:
        if not 0 <= seed <= MAX_SEED:
            raise InputError("run", f"expected integers from 0 to {MAX_SEED:,}, got {seed}", key="seeds")
        if seeds.count(seed) > 1:
            raise InputError("run", f"expected distinct seeds, got {seed} more than once", key="seeds")
