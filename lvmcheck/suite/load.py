"""suite.toml to a frozen typed :class:`Suite`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import cast

from lvmcheck.errors import InputError
from lvmcheck.suite.entries import check_epochs, check_metrics, check_seeds, read_entries
from lvmcheck.suite.model import Suite, covers, run_path
from lvmcheck.suite.profile import Table, check_run, choose_profile, declared_profiles, merged_run
from lvmcheck.suite.source import Source, read_source
from lvmcheck.suite.trainer import find_trainer
from lvmcheck.suite.values import MismatchError, convert, expected

_TOP = ("suite", "run", "profile", "check", "end")
_SUITE = {"about": str, "checks": int, "default_profile": str, "end": bool, "sequential": bool}
_OPTIONAL = ("default_profile", "end", "sequential")


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
        profile: the profile asked for; None leaves it to the suite's ``default_profile``, else ``default_profile``.
        overrides: dotted keys below ``[run]`` with the values that replace them (``{"epochs": 2, "data": {...}}``).

    Raises:
        InputError: anything wrong with the file, with its line, key and the nearest valid name.
    """
    source = read_source(path)
    about = _check_frame(source)
    declared = declared_profiles(source)
    chosen, available = choose_profile(source, declared, profile, default_profile)
    entries = read_entries(source, available)
    changes = dict(overrides or {})
    for name in declared:
        if name != chosen:
            _validate(source, name, merged_run(source, declared[name], {}), ())
    run = merged_run(source, declared.get(chosen, {}), changes)
    trainer, metrics = _validate(source, chosen, run, tuple(changes))
    if metrics is not None:
        check_metrics(source, entries, metrics)
    suite = Suite(
        path=path,
        name=suite_name(path),
        about=about,
        profile=chosen,
        profiles=available,
        trainer=trainer,
        config={key: value for key, value in run.items() if key not in ("trainer", "seeds")},
        seeds=tuple(cast(list[int], run["seeds"])),
        checks=tuple(entry for entry in entries if entry.belongs(chosen)),
        declared=len(entries),
        sequential=bool(cast(Table, source.table["suite"]).get("sequential", False)),
        overridden=tuple(changes),
        origin=source,
    )
    _check_sequential(source, suite)
    check_seeds(source, entries, chosen, suite.seeds)
    check_epochs(source, entries, chosen, cast(int, run["epochs"]), suite.where("run.epochs")[1])
    if not suite.checks:
        raise InputError(path, f"none of its {len(entries)} checks belongs to profile {chosen!r}")
    return suite


def _check_sequential(source: Source, suite: Suite) -> None:
    if suite.sequential and not any(entry.across for entry in suite.checks):
        problem = 'expected a check with across = "mean" or "2 of 3": nothing else can make further seeds needless'
        raise source.error(("suite", "sequential"), problem)


def suite_name(path: Path) -> str:
    """``known_failures/amn_790k_attempt_2``: the folder below the nearest folder called ``suites``."""
    folder = path.absolute().parent
    parts = folder.parts[1:]
    below = parts[len(parts) - parts[::-1].index("suites") :] if "suites" in parts else ()
    own = () if path.stem == "suite" else (path.stem,)
    return "/".join((*(below or (folder.name,)), *own))


def _check_frame(source: Source) -> str:
    """The tables of the file and what ``[suite]`` promises: all its checks are here, and so is its end."""
    source.only(source.table, (), _TOP)
    for name in ("suite", "run"):
        if not isinstance(source.table.get(name), dict):
            raise source.error((name,), f"expected a table [{name}]", key="")
    suite = cast(Table, source.table["suite"])
    source.only(suite, ("suite",), _SUITE)
    for key, hint in _SUITE.items():
        if key not in suite:
            if key in _OPTIONAL:
                continue
            raise source.error(("suite", key), f"missing, expected {expected(hint)}")
        try:
            convert(suite[key], hint)
        except MismatchError as problem:
            raise source.error(("suite", key), problem.problem) from None
    entries = source.table.get("check", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise source.error(("check",), "expected [[check]] entries")
    declared, found = cast(int, suite["checks"]), len(entries)
    if declared < 1:
        raise source.error(
            ("suite", "checks"), f"expected at least 1, got {declared}: a suite without checks proves nothing"
        )
    if declared != found:
        why = "truncated?" if found < declared else "raise the number if the new ones are meant"
        raise source.error(("suite", "checks"), f"declares {declared} checks, the file has {found} ({why})")
    _check_end(source)
    return str(suite["about"])


def _check_end(source: Source) -> None:
    """``[end]`` comes last in a file that promises it: cut in its last table, a file is a smaller, valid suite."""
    if "end" not in source.table and not cast(Table, source.table["suite"]).get("end"):
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


def _validate(
    source: Source, profile: str, run: Table, overridden: tuple[str, ...]
) -> tuple[str, tuple[str, ...] | None]:
    """Check ``[run]`` at a profile, by its trainer's own schema where there is one.

    Returns:
        the trainer as written, and the metrics it can log where it says so.
    """
    try:
        check_run(run)
        name = str(run["trainer"])
        schema = _schema(name)
        if schema is not None and hasattr(schema, "validate"):
            schema.validate({key: value for key, value in run.items() if key not in ("trainer", "seeds")})
    except InputError as problem:
        raise _placed(source, profile, problem, overridden) from None
    metrics = getattr(schema, "METRICS", None)
    return name, None if metrics is None else tuple(metrics)


def _schema(name: str) -> ModuleType | None:
    try:
        return find_trainer(name).schema()
    except InputError as problem:
        raise InputError("run", f"{problem.where}: {problem.problem}", key="trainer", fix=problem.fix) from None


def _placed(source: Source, profile: str, problem: InputError, overridden: tuple[str, ...]) -> InputError:
    """The error of a key below ``[run]`` with its file and line in this suite; an overridden key has no line."""
    key = (problem.key or "").removeprefix("run.")
    parts = tuple(part.split("[")[0] for part in key.split(".")) if key else ()
    if any(covers(item, parts) for item in overridden):
        return InputError(source.path, problem.problem, key=f"override of run.{key}", fix=problem.fix)
    return source.error(run_path(source, profile, parts), problem.problem, fix=problem.fix)
