"""``lvmcheck init``: a first suite for a repository, from a recorded run if there is one."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.commands._exit import PASSED
from lvmcheck.commands._reading import add_reading, read_run
from lvmcheck.errors import InputError
from lvmcheck.text.say import say

if TYPE_CHECKING:
    from lvmcheck.commands.init.draft import Made

HELP = "write a suite into a repository, from a recorded run if there is one"
EXAMPLE = "lvmcheck init --from runs/healthy --trainer mypackage.training:train"
EXITS = {PASSED: "written"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="repository (default: .)")
    parser.add_argument("--from", dest="source", type=Path, metavar="RUN", help="a healthy run to take floors from")
    parser.add_argument("--trainer", metavar="NAME", help="package.module:function that trains")
    parser.add_argument("--name", help="folder below suites/ (default: the run's name, or example)")
    parser.add_argument("--anyway", action="store_true", help="also from a run that something is wrong with")
    parser.add_argument("--ci", metavar="SPEC", help="also a workflow and its gate; from what pip installs lvmcheck")
    add_reading(parser)


def run(options: argparse.Namespace) -> int:
    from lvmcheck.commands.init.draft import finish, from_nothing, from_run

    root: Path = options.folder
    if root.exists() and not root.is_dir():
        raise InputError(root, "expected a folder, got a file")
    if options.source is None and (options.anyway or options.kind or options.columns or options.run):
        raise InputError("--anyway" if options.anyway else "--kind, --columns, --run", "expected --from beside it")
    sys.path.insert(0, os.path.abspath(root))  # noqa: PTH100 - as pytest's pythonpath will
    if options.source is None:
        draft = from_nothing(trainer=options.trainer, name=options.name)
    else:
        healthy = read_run(options.source, options)
        chosen = {"trainer": options.trainer, "name": options.name, "anyway": options.anyway}
        draft = from_run(healthy, str(options.source), **chosen)
    made = finish(root, draft, options.ci)
    say(*_summary(made, root, options.source))
    return PASSED


def _summary(made: Made, root: Path, source: Path | None) -> list[str]:
    lines = [f"wrote {os.path.relpath(path)}" for path in made.files]
    lines[0] += f"  ({made.checks} checks)"
    lines += [f"left out {sentence}" for sentence in made.left]
    lines += [f"to do: {sentence}" for sentence in made.todo]
    suite = os.path.relpath(made.files[0].parent, root)
    there = "" if root.resolve() == Path.cwd() else f"cd {os.path.relpath(root)} && "
    lines.append(f"next: {there}pytest {suite}")
    if source is not None:
        lines.append(f"      {there}lvmcheck check {os.path.relpath(source, root)} --suite {suite}")
        lines.append(f"      {there}lvmcheck calibrate {suite}   # one run shows no spread between seeds")
    return lines
