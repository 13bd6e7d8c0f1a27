"""The options of a session, read and checked once: command line first, then the ini setting of the same name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lvmcheck.checks.foreign import LIMIT
from lvmcheck.errors import InputError, excerpt, nearest
from lvmcheck.launch.device import check_device, cores
from lvmcheck.launch.engine import LOCAL, check_launcher
from lvmcheck.pytest_plugin.constants import INI, PROGRESS
from lvmcheck.text.fit import fit

AUTO = "auto"
MOST_SECONDS = 1e8
"""Three years."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a session was asked for, in the types in which it is used; None leaves it to the suite.

    Args:
        home: folder of runs, caches and locks.
        data: path of vectors, as given, from the folder in which pytest was started.
        jobs: trainers at a time; 0 means as many as the machine allows.
        reason: why references are written, or None when they are not.
    """

    profile: str | None
    device: str | None
    home: Path
    data: str | None
    data_name: str | None
    ood: tuple[str, ...]
    seeds: tuple[int, ...] | None
    threads: int | None
    ranks: int | None
    jobs: int
    fresh: bool
    inprocess: bool
    parallel: bool
    launcher: str
    launcher_options: tuple[tuple[str, str], ...]
    store: str
    env: tuple[str, ...]
    timeout: float | None
    check_timeout: float
    progress: str
    reason: str | None


def read_options(config: pytest.Config) -> Options:
    """The options of a session.

    Raises:
        InputError: a value that cannot be used, named as the option.
        pytest.UsageError: references cannot be written in such a session.
    """
    device, seeds = option(config, "--lvm-device"), option(config, "--lvm-seeds")
    found = Options(
        profile=option(config, "--lvm-profile"),
        device=check_device(device, "--lvm-device") if device else None,
        home=_home(config),
        data=option(config, "--lvm-data"),
        data_name=option(config, "--lvm-data-name"),
        ood=tuple(option(config, "--lvm-ood") or ()),
        seeds=None if seeds is None else parse_seeds(seeds),
        threads=_count(config, "--lvm-threads", cores()) or None,  # more than cores wait for each other
        ranks=_count(config, "--lvm-ranks", cores()) or None,
        jobs=_count(config, "--lvm-jobs", None),
        fresh=bool(config.getoption("lvm_fresh")),
        inprocess=bool(config.getoption("lvm_inprocess")),
        parallel=_parallel(option(config, "--lvm-parallel")),
        launcher=option(config, "--lvm-launcher") or LOCAL,
        launcher_options=_pairs(option(config, "--lvm-launcher-option") or ()),
        store=option(config, "--lvm-store") or "",
        env=_variables(option(config, "--lvm-env") or ()),
        timeout=_seconds(config, "--lvm-timeout"),
        check_timeout=_seconds(config, "--lvm-check-timeout") or LIMIT,
        progress=_progress(option(config, "--lvm-progress")),
        reason=_reason(config),
    )
    check_launcher(found.launcher, dict(found.launcher_options))
    if found.inprocess and found.launcher != LOCAL:
        raise InputError("--lvm-launcher", "expected no --lvm-inprocess beside it", fix="That trains here.")
    if found.store and found.launcher == LOCAL:
        raise InputError(
            "--lvm-store", "expected --lvm-launcher submitit or ray beside it", fix="It is for their workers."
        )
    if found.inprocess and (found.ranks or 1) > 1:
        raise InputError("--lvm-ranks", "expected no --lvm-inprocess beside it", fix="Ranks are processes.")
    about_data = [("--lvm-data-name", found.data_name), ("--lvm-ood", found.ood)]
    for flag, value in about_data if found.data is None else ():
        if value:
            raise InputError(flag, "expected --lvm-data PATH beside it", fix="It says more about that path.")
    return found


def usable_options(config: pytest.Config) -> None:
    """Refuse options that cannot be used before anything is collected, as pytest refuses its own.

    Raises:
        pytest.UsageError: one cannot be.
    """
    try:
        read_options(config)
    except InputError as problem:
        raise pytest.UsageError(fit(problem)) from None


def option(config: pytest.Config, flag: str) -> Any:
    """Command line, then the ini setting of the same name, then None.

    Raises:
        InputError: the command line gives nothing, as ``--lvm-data "$UNSET"`` does.
    """
    name = flag[2:].replace("-", "_")
    value = config.getoption(name)
    if value is not None and (value == "" or (isinstance(value, list) and "" in value)):
        raise InputError(flag, "expected a value, got nothing")
    return value if value is not None or flag not in INI else (config.getini(name) or None)


def _count(config: pytest.Config, flag: str, most: int | None) -> int:
    """A number of things; 0 where it is not given."""
    value = option(config, flag)
    if value is None:
        return 0
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(flag, f"expected an integer >= 0, got {text}")
    if most is not None and int(text) > most:
        raise InputError(flag, f"expected at most the {most} cores of this machine, got {text}")
    return int(text)


def _variables(names: Sequence[str]) -> tuple[str, ...]:
    """Names of environment variables."""
    for name in names:
        if "=" in name or not name.isprintable():
            raise InputError("--lvm-env", f"expected the name of an environment variable, got {excerpt(name)!r}")
    return tuple(names)


def _parallel(value: str | None) -> bool:
    if value not in (None, AUTO):
        raise InputError(
            "--lvm-parallel", f"expected {AUTO!r}, got {excerpt(str(value))!r}", fix="--lvm-jobs N sets a number."
        )
    return value is not None


def _pairs(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``NAME=VALUE`` as pairs."""
    for text in given:
        if not text.partition("=")[0] or not text.partition("=")[2]:
            raise InputError("--lvm-launcher-option", f"expected NAME=VALUE, got {excerpt(text)!r}")
    return tuple((name, value) for name, _, value in (text.partition("=") for text in given))


def _seconds(config: pytest.Config, flag: str) -> float | None:
    """A length of time; None where it is not given."""
    value = option(config, flag)
    if value is None:
        return None
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < MOST_SECONDS:
        raise InputError(flag, f"expected seconds above 0, got {value}")
    return seconds


def _progress(value: str | None) -> str:
    if value is not None and value not in PROGRESS:
        raise InputError("--lvm-progress", f"no way to show progress {value!r}", fix=nearest(value, PROGRESS))
    return value or "auto"


def _home(config: pytest.Config) -> Path:
    """The command line counts from where it is typed, an ini setting from the root."""
    home = Path(option(config, "--lvm-dir") or ".lvmcheck")
    typed = config.getoption("lvm_dir") is not None
    return (config.invocation_params.dir if typed else config.rootpath) / home


def parse_seeds(text: str) -> tuple[int, ...]:
    """``0,1,2`` as seeds.

    Raises:
        InputError: not a list of distinct integers >= 0.
    """
    parts = [part.strip() for part in text.split(",")]
    seeds = tuple(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 20)
    if len(seeds) != len(parts) or len(set(seeds)) != len(seeds):
        raise InputError("--lvm-seeds", f"expected distinct integers such as 0,1,2, got {text!r}")
    return seeds


def _reason(config: pytest.Config) -> str | None:
    """Why references are written.

    Raises:
        pytest.UsageError: no reason, a CI job (references are reviewed, not made there), or several workers.
    """
    flag = "--lvm-update-reference"
    text = config.getoption("lvm_update_reference")
    if text is None:
        return None
    if not str(text).strip():
        raise pytest.UsageError(f"{flag}: expected the reason, got nothing. It stands in the file and in its diff.")
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        raise pytest.UsageError(f"{flag}: refused in CI (the variable CI is set): a reference is reviewed first")
    if hasattr(config, "workerinput") or config.getoption("numprocesses", None):
        raise pytest.UsageError(f"{flag}: expected one process, got -n: run it without")
    return str(text).strip()


def report_file(config: pytest.Config, flag: str) -> Path | None:
    """Where a report is to be written; None where it is not asked for.

    Raises:
        pytest.UsageError: nothing was given for its name, or it is a folder.
    """
    name = config.getoption(flag[2:].replace("-", "_"))
    if name is None:
        return None
    path: Path = config.invocation_params.dir / name
    if name == "" or path.is_dir():
        raise pytest.UsageError(fit(f"{flag}: expected a file, got {f'the folder {name}' if name else 'nothing'}"))
    return path
