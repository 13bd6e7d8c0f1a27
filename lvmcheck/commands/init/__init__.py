"""``lvmcheck init``: a first suite for a repository, from recorded runs if there are any."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.commands._exit import PASSED
from lvmcheck.commands._reading import add_reading, read_run
from lvmcheck.errors import InputError
from lvmcheck.text.say import say

if TYPE_CHECKING:
    from lvmcheck.commands.init.draft import Draft
    from lvmcheck.commands.init.finish import Made
    from lvmcheck.run.view import Run

HELP = "write a suite into a repository, from recorded runs if there are any"
EXAMPLE = "lvmcheck init --from runs/seed0 runs/seed1 runs/seed2 --trainer mypackage.training:train"
EXITS = {PASSED: "written"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="repository (default: .)")
    parser.add_argument(
        "--from",
        dest="source",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="a healthy run to take bounds from, or several seeds of it, or a folder that holds them",
    )
    parser.add_argument("--trainer", metavar="NAME", help="package.module:function that trains")
    parser.add_argument(
        "--script", metavar="LINE", help="in place of a trainer, a script as it is: 'train.py --seed {seed}'"
    )
    parser.add_argument("--name", help="folder below suites/ (default: the run's name, or example)")
    parser.add_argument("--anyway", action="store_true", help="also from a run that something is wrong with")
    parser.add_argument(
        "--ci",
        metavar="SPEC",
        nargs="?",
        const="",
        help="also a workflow and its gate, or only these where suites are there; SPEC is what pip installs lvmcheck"
        " from (default: where this one came from)",
    )
    parser.add_argument("--gpu", action="store_true", help="with --ci: also a workflow for a self-hosted GPU runner")
    add_reading(parser)


def run(options: argparse.Namespace) -> int:
    from lvmcheck.commands.init.finish import finish, only_ci

    root: Path = options.folder
    if root.exists() and not root.is_dir():
        raise InputError(root, "expected a folder, got a file")
    _check(options)
    sys.path.insert(0, os.path.abspath(root))  # noqa: PTH100 - as pytest's pythonpath will
    ci, todo = options.ci, None
    if ci == "":
        from lvmcheck.commands.init.workflow import installed_from

        ci, todo = installed_from()
    asked = (options.source, options.trainer, options.script, options.name)
    made = only_ci(root, ci, gpu=options.gpu) if ci is not None and not any(asked) else None
    if made is None:
        made = finish(root, _draft(options), ci, gpu=options.gpu)
    say(*_summary(made, root, [todo] if todo else []))
    return PASSED


def _check(options: argparse.Namespace) -> None:
    if options.source is None and (options.anyway or options.kind or options.columns or options.run):
        raise InputError("--anyway" if options.anyway else "--kind, --columns, --run", "expected --from beside it")
    if options.gpu and options.ci is None:
        raise InputError("--gpu", "expected --ci beside it")
    if options.script is not None and (options.trainer is not None or options.source is None):
        problem = "expected one of --trainer and --script" if options.trainer else "expected --from beside it"
        raise InputError("--script", problem, fix="lvmcheck run SCRIPT records a run to take bounds from.")


def _draft(options: argparse.Namespace) -> Draft:
    from lvmcheck.commands.init.draft import from_nothing
    from lvmcheck.commands.init.recorded import from_runs

    if options.source is None:
        return from_nothing(trainer=options.trainer, name=options.name)
    runs, left = _runs(options)
    chosen = {"trainer": options.trainer, "script": options.script, "name": options.name, "anyway": options.anyway}
    draft = from_runs(runs, **chosen)
    return replace(draft, left=(*left, *draft.left))


def _runs(options: argparse.Namespace) -> tuple[list[tuple[str, Run]], list[str]]:
    """The runs with their paths, and a sentence for each file of a folder that is none."""
    from lvmcheck.report.html.report_run import run_paths

    left = []
    paths = run_paths(options.source)
    for folder in options.source:
        if folder.is_dir() and folder not in paths:
            others = sorted(set(folder.iterdir()) - set(paths))
            left += [f"{path}: no run directory" for path in others if not path.name.startswith(".")]
    return [(str(path), read_run(path, options)) for path in paths], left


def _summary(made: Made, root: Path, more: list[str]) -> list[str]:
    lines = [f"wrote {os.path.relpath(path)}" for path in made.files]
    if made.suite in made.files:
        lines[0] += f"  ({made.checks} checks)"
    if not lines:
        lines = ["nothing to write: every file is there already"]
    lines += [f"left out {sentence}" for sentence in made.left]
    lines += [f"to do: {sentence}" for sentence in (*made.todo, *more)]
    suite = "suites" if made.suite is None else os.path.relpath(made.suite.parent, root)
    there = "" if root.resolve() == Path.cwd() else f"cd {os.path.relpath(root)} && "
    lines.append(f"next: {there}pytest {suite}")
    if made.shown:
        lines.append(f"      {there}lvmcheck check {os.path.relpath(made.shown[0], root)} --suite {suite}")
    if len(made.shown) == 1:
        lines.append(f"      {there}lvmcheck calibrate {suite}   # one run shows no spread between seeds")
    return lines
