"""suite.toml to a frozen typed :class:`Suite`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from lvmcheck.errors import BadValueError, InputError, nearest
from lvmcheck.suite.entries import check_epochs, check_metrics, check_seeds, read_entries
from lvmcheck.suite.model import CheckEntry, Suite, covers, run_path
from lvmcheck.suite.profile import Table, choose_profile, declared_profiles, merged_run, overridden_run
from lvmcheck.suite.source import Source, read_source
from lvmcheck.suite.tables import RUN_KEYS, SEEDS, RunTable, SuiteTable
from lvmcheck.suite.trainer import find_trainer
from lvmcheck.validation import validated

_TOP = ("suite", "run", "profile", "check", "end")


def load_suite(
    path: Path,
    *,
    profile: str | None = None,
    default_profile: str = "smoke",
    overrides: Mapping[str, object] | None = None,
) -> Suite:
    """The suite of a file at one profile. Every profile of the file is checked, not only the chosen one.

    Args:
        path: the file; errors name it as given.
        profile: the chosen profile; None leaves it to the suite's ``default_profile``, else ``default_profile``.
        overrides: as :func:`with_overrides` takes them.

    Raises:
        InputError: anything wrong with the file, with its line, key and the nearest valid name.
    """
    source = read_source(path)
    table = _suite_table(source)
    declared = declared_profiles(source)
    chosen, available = choose_profile(source, declared, profile, table.default_profile, default_profile)
    entries = read_entries(source, available)
    for name in declared:
        if name != chosen:
            _validate(source, name, merged_run(source, declared[name]))
    run = merged_run(source, declared.get(chosen, {}))
    suite = Suite(
        path=path,
        name=suite_name(path),
        about=table.about,
        profile=chosen,
        profiles=available,
        **_run_fields(source, chosen, run, entries),
        checks=tuple(entry for entry in entries if entry.belongs(chosen)),
        declared=len(entries),
        sequential=table.sequential,
        origin=source,
    )
    if not suite.checks:
        raise InputError(path, f"none of its {len(entries)} checks belongs to profile {chosen!r}")
    return with_overrides(_consistent(suite), overrides) if overrides else _consistent(suite)


def with_overrides(suite: Suite, overrides: Mapping[str, object]) -> Suite:
    """The suite with dotted keys below ``[run]`` replaced (``{"epochs": 2, "data": {...}}``), without reading it again.

    Raises:
        InputError: a value that the trainer or a check refuses, named as an override.
    """
    run = overridden_run(
        {**suite.config, **_launch_keys(suite), "trainer": suite.trainer, "seeds": list(suite.seeds)},
        overrides,
        suite.path,
    )
    fields = _run_fields(suite.origin, suite.profile, run, suite.checks, tuple(overrides))
    return _consistent(replace(suite, **fields, overridden=tuple(overrides)))


def _launch_keys(suite: Suite) -> Table:
    """The keys of ``[run]`` about how the trainer is launched, where the suite has them."""
    keys: dict[str, object] = {"env": list(suite.env) or None, "inputs": suite.inputs, "timeout": suite.timeout}
    if suite.ranks > 1:
        keys["distributed"] = {"ranks": suite.ranks}
    return {key: value for key, value in keys.items() if value is not None}


def suite_file(path: Path) -> Path:
    """The file of a suite that is named by its file or its folder."""
    return path / "suite.toml" if path.is_dir() else path


def suite_name(path: Path) -> str:
    """``known_failures/amn_790k_attempt_2``: the folder below the nearest folder called ``suites``."""
    folder = path.absolute().parent
    parts = folder.parts[1:]
    below = parts[len(parts) - parts[::-1].index("suites") :] if "suites" in parts else ()
    own = () if path.stem == "suite" else (path.stem,)
    return "/".join((*(below or (folder.name,)), *own))


# -- the file ----------------------------------------------------------------------------------------------------------
def _suite_table(source: Source) -> SuiteTable:
    """``[suite]``, with what it promises: all its checks are here, and so is its end."""
    for name in source.table:
        if name not in _TOP:
            raise source.error((name,), "unknown key", fix=nearest(name, _TOP))
    for name in ("suite", "run"):
        if not isinstance(source.table.get(name), dict):
            raise source.error((name,), f"expected a table [{name}]", key="")
    try:
        table = validated(SuiteTable, cast(Table, source.table["suite"]))
    except BadValueError as problem:
        raise _bad_value(source, ("suite",), problem) from None
    entries = source.table.get("check", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise source.error(("check",), "expected [[check]] entries")
    declared, found = table.checks, len(entries)
    if declared != found:
        why = "truncated?" if found < declared else "raise the number if the new ones are meant"
        raise source.error(("suite", "checks"), f"declares {declared} checks, the file has {found} ({why})")
    _check_end(source, promised=table.end)
    return table


def _bad_value(source: Source, at: tuple[str, ...], problem: BadValueError) -> InputError:
    return source.error((*at, *problem.key.split(".")), problem.problem, fix=problem.fix)


def _check_end(source: Source, *, promised: bool) -> None:
    """``[end]`` comes last in a file that promises it: cut in its last table, a file is a smaller, valid suite."""
    if "end" not in source.table and not promised:
        return
    if source.table.get("end") != {}:
        problem = (
            "expected an empty table" if "end" in source.table else "the file does not end with [end] (truncated?)"
        )
        fix = "Write [end] as the last line; nothing may follow it."
        raise source.error(("end",), problem, key="end" if "end" in source.table else "", fix=fix)
    end = source.lines.exact(("end",))
    after = max(source.lines.mentions, key=lambda mention: mention.start)
    if end is not None and after.path != ("end",):
        raise source.error(("end",), f"expected nothing after it, line {after.line} follows")


# -- the run -----------------------------------------------------------------------------------------------------------
def _run_fields(
    source: Source, profile: str, run: Table, entries: tuple[CheckEntry, ...], overridden: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Trainer, config and seeds of a suite, of a run that its trainer accepts and whose metrics its checks may name."""
    table, metrics = _validate(source, profile, run, overridden)
    if metrics is not None:
        check_metrics(source, entries, metrics)
    config = {key: value for key, value in run.items() if key not in RUN_KEYS}
    launch = {"env": table.env, "inputs": table.inputs, "timeout": table.timeout, "ranks": table.distributed.ranks}
    return {"trainer": table.trainer, "config": config, "seeds": tuple(table.seeds), **launch}


def _consistent(suite: Suite) -> Suite:
    """The suite, whose checks its seeds and epochs can answer."""
    if suite.sequential and not any(entry.across for entry in suite.checks):
        problem = 'expected a check with across = "mean" or "2 of 3": nothing else can make further seeds needless'
        raise suite.origin.error(("suite", "sequential"), problem)
    check_seeds(suite.origin, suite.checks, suite.seeds)
    epochs, line = cast(int, suite.config["epochs"]), suite.where("run.epochs")[1]
    check_epochs(suite.origin, suite.checks, suite.profile, epochs, line)
    return suite


def _validate(
    source: Source, profile: str, run: Table, overridden: tuple[str, ...] = ()
) -> tuple[RunTable, tuple[str, ...] | None]:
    """Check ``[run]`` at a profile, by its trainer's own schema where there is one.

    Returns:
        what every run has, and the metrics that the trainer can log where its schema lists them.
    """
    try:
        if "seed" in run:
            raise InputError("run", "unknown key", key="seed", fix=f"Write seeds, {SEEDS}; each run gets one of them.")
        table = validated(RunTable, run)
        schema = _schema(table.trainer)
        if schema is not None and hasattr(schema, "validate"):
            schema.validate({key: value for key, value in run.items() if key not in RUN_KEYS})
        if schema is not None and table.distributed.ranks > 1 and hasattr(schema, "check_ranks"):
            config = {key: value for key, value in run.items() if key not in RUN_KEYS}
            schema.check_ranks(config, table.distributed.ranks)
    except (InputError, BadValueError) as problem:
        raise _at_its_line(source, profile, problem, overridden) from None
    metrics = getattr(schema, "METRICS", None)
    return table, None if metrics is None else tuple(metrics)


def _schema(name: str) -> ModuleType | None:
    try:
        return find_trainer(name).schema()
    except InputError as problem:
        raise InputError("run", f"{problem.where}: {problem.problem}", key="trainer", fix=problem.fix) from None


def _at_its_line(
    source: Source, profile: str, problem: InputError | BadValueError, overridden: tuple[str, ...]
) -> InputError:
    """The error of a key below ``[run]`` with its file and line in this suite; an overridden key has no line."""
    key = (problem.key or "").removeprefix("run.")
    parts = tuple(part.split("[")[0] for part in key.split(".")) if key else ()
    if any(covers(item, parts) for item in overridden):
        return InputError(source.path, problem.problem, key=f"override of run.{key}", fix=problem.fix)
    return source.error(run_path(source, profile, parts), problem.problem, fix=problem.fix)
