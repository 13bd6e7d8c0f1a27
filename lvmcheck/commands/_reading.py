"""Arguments that name a run, a suite or a profile, and what they name."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.errors import BadValueError, InputError

if TYPE_CHECKING:
    from lvmcheck.run.view import Run


def add_run(command: argparse.ArgumentParser) -> None:
    """Which run is meant, for every command that reads one."""
    command.add_argument("path", type=Path, help="a run directory, or a run of another logger (docs/readers.md)")
    add_reading(command)


def add_reading(command: argparse.ArgumentParser) -> None:
    """How a run is to be read."""
    command.add_argument("--kind", metavar="NAME", help="what wrote it (default: found by its content)")
    command.add_argument("--columns", metavar="MAP", help='such as "epoch=step,val_loss=validation/loss"')
    command.add_argument("--run", metavar="ID", help="which run, where the file holds several")


def run_of(options: argparse.Namespace) -> Run:
    """The run that :func:`add_run`'s arguments name."""
    return read_run(options.path, options)


def read_run(path: Path, options: argparse.Namespace) -> Run:
    """The run at ``path``, read by :func:`add_reading`'s arguments."""
    from lvmcheck.readers import open_run

    run = open_run(path, kind=options.kind, columns=options.columns, run=options.run)
    check_roles(run, path)
    return run


def check_roles(run: Run, path: Path) -> None:
    """Refuse a run whose declared roles contradict each other, a name or a recorded value.

    Raises:
        InputError: names the metric.
    """
    from lvmcheck.run.events import Declare

    stated: dict[str, object] = {}
    for event in run.of(Declare):
        for name, said in event.roles.items():
            if stated.setdefault(name, said) != said:
                raise InputError(path, f"declared as {stated[name]} and as {said}", key=f"roles.{name}")
    if not stated and not run.info.get("roles"):
        return
    try:
        _ = run.curves.roles
    except BadValueError as problem:
        raise InputError(path, problem.problem, key=problem.key, fix=problem.fix) from None


def make_importable() -> None:
    """Let suites name trainers of the working directory, as pytest's ``pythonpath`` does for it."""
    if os.getcwd() not in sys.path:  # noqa: PTH109 - entries of sys.path are strings
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
