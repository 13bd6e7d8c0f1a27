"""Where trainers run (``--lvm-launcher``): processes of this machine, or tasks of a cluster; one file each in
``engines/``, found by its name.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lvmcheck.errors import InputError, nearest
from lvmcheck.extras import install
from lvmcheck.launch.place import Place
from lvmcheck.launch.plan import Plan, Settings

ENGINES = Path(__file__).with_name("engines")
LOCAL = "local"


class Task(Protocol):
    """A trainer that was started."""

    @property
    def began(self) -> bool:
        """Whether it has a place to run; before, its silence says nothing."""

    @property
    def lost(self) -> bool:
        """Whether it ended for a reason that is not its own: its worker was preempted, or has gone."""

    def exit_code(self) -> int | None:
        """None while it runs or waits for a place; negative for a signal."""

    def ended(self) -> str:
        """How it ended, in words."""

    def dump_stacks(self) -> None:
        """Have it write the stacks of all its threads; does not wait."""

    def ask_again(self) -> None:
        """Ask the whole process group to end, and have it print where it is; does not wait."""

    def stop(self, *, grace: float = 8.0) -> None:
        """Ask it to end, then insist."""

    def wait_output(self) -> None:
        """Let the last output arrive after it has ended."""


class Engine(Protocol):
    """Starts trainers somewhere. Used from two threads, never at once; :meth:`open` first from the main one."""

    def open(self) -> None:
        """Be ready to start trainers; again is nothing.

        Raises:
            InputError: its package or its cluster cannot be used.
        """

    def take(self, plan: Plan, folder: Path, wanted: int) -> Place | None:
        """A place to train; None where there is none now.

        Args:
            folder: of locks that all sessions of a home share.
            wanted: runs of this session that are not over.
        """

    def start(self, plan: Plan, resume: Path | None, environment: Mapping[str, str]) -> Task:
        """Start the plan's trainer in its run directory.

        Args:
            environment: of its place.

        Raises:
            InputError: it cannot be started.
        """

    def close(self) -> None:
        """Nothing more is started."""


def engine_names() -> list[str]:
    """Names of the engines, from the file system alone."""
    return sorted(path.stem for path in ENGINES.glob("*.py") if not path.stem.startswith("_"))


def check_launcher(name: str, options: Mapping[str, str]) -> None:
    """Refuse what cannot work, before anything is collected.

    Raises:
        InputError: no such engine or option, or its package is not installed.
    """
    flag = "--lvm-launcher"
    if name not in engine_names():
        raise InputError(flag, f"no launcher {name!r}", fix=nearest(name, engine_names()))
    module = importlib.import_module(f"lvmcheck.launch.engines.{name}")
    if module.PACKAGE is not None and importlib.util.find_spec(module.PACKAGE) is None:
        problem = f"{name} needs the package {module.PACKAGE!r}, which is not installed"
        raise InputError(flag, problem, fix=f"{install(module.EXTRA)} adds it.")
    for key in options:
        known = module.OPTIONS
        if key not in known and not key.startswith(module.PREFIXES):
            fix = nearest(key, known) if known else f"The launcher {name} has none."
            raise InputError("--lvm-launcher-option", f"no option {key!r} of {name}", fix=fix)


def make_engine(settings: Settings) -> Engine:
    """The engine that the settings name."""
    module = importlib.import_module(f"lvmcheck.launch.engines.{settings.launcher}")
    made: Engine = module.make(settings)
    return made
