"""Commands for a repository or a machine that is new to lvmcheck: ``init`` and ``doctor``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.commands._reading import add_reading, read_run
from lvmcheck.errors import InputError

if TYPE_CHECKING:
    from lvmcheck.commands.init.begin import Made

FINE, SPOILED = 0, 1


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the commands of this file to the parser's."""
    init = commands.add_parser("init", help="write a suite into a repository, from a recorded run if there is one")
    init.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="the repository (default: .)")
    init.add_argument("--from", dest="source", type=Path, metavar="RUN", help="a healthy run to take floors from")
    init.add_argument("--trainer", metavar="NAME", help="package.module:function that trains")
    init.add_argument("--name", help="folder below suites/ (default: the run's name, or example)")
    init.add_argument("--anyway", action="store_true", help="also from a run that something is wrong with")
    init.add_argument("--ci", metavar="SPEC", help="also a workflow and its gate; from what pip installs lvmcheck")
    add_reading(init)
    init.set_defaults(command=run_init)
    doctor = commands.add_parser("doctor", help="the machine in one screen: what would spoil results, and what to do")
    doctor.add_argument("--no-torch", dest="torch", action="store_false", help="do not start torch to ask it")
    doctor.add_argument("--lvm-dir", type=Path, default=Path(".lvmcheck"), metavar="PATH", help="where runs are kept")
    doctor.add_argument("--json", action="store_true", help="the findings as JSON")
    doctor.set_defaults(command=run_doctor)


def run_init(options: argparse.Namespace) -> int:
    from lvmcheck.commands.init.begin import finish, from_nothing, from_run

    root: Path = options.folder
    if root.exists() and not root.is_dir():
        raise InputError(root, "expected a folder, got a file")
    if options.source is None and (options.anyway or options.kind or options.columns or options.run):
        raise InputError("--anyway" if options.anyway else "--kind, --columns, --run", "expected --from beside it")
    sys.path.insert(0, os.path.abspath(root))  # noqa: PTH100 - as pytest's pythonpath will
    if options.source is None:
        draft = from_nothing(trainer=options.trainer, name=options.name)
    else:
        run = read_run(options.source, options)
        said = {"trainer": options.trainer, "name": options.name, "anyway": options.anyway}
        draft = from_run(run, str(options.source), **said)
    made = finish(root, draft, options.ci)
    print("\n".join(_told(made, root, options.source)))
    return FINE


def _told(made: Made, root: Path, source: Path | None) -> list[str]:
    lines = [f"wrote {os.path.relpath(path)}" for path in made.files]
    lines[0] += f"  ({made.checks} checks)"
    lines += [f"left out {sentence}" for sentence in made.left]
    lines += [f"to do: {sentence}" for sentence in made.todo]
    suite = os.path.relpath(made.files[0].parent, root)
    there = "" if root.resolve() == Path.cwd() else f"cd {os.path.relpath(root)} && "
    lines.append(f"next: {there}pytest {suite}")
    if source is not None:
        lines.append(f"      {there}lvmcheck check {os.path.relpath(source, root)} --suite {suite}/suite.toml")
        lines.append(f"      {there}lvmcheck calibrate {suite}   # one run shows no spread between seeds")
    return lines


def run_doctor(options: argparse.Namespace) -> int:
    from lvmcheck.commands.doctor.examine import examine
    from lvmcheck.commands.doctor.screen import body, screen

    found = examine(Path.cwd(), options.lvm_dir, ask_torch=options.torch)
    print(json.dumps(body(found), indent=1) if options.json else "\n".join(screen(found)))
    return SPOILED if any(item.spoils for item in found) else FINE
