"""What is to be trained and judged: one suite at one seed, resolved to a key and a directory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lvmcheck.checks.foreign import LIMIT
from lvmcheck.errors import InputError
from lvmcheck.launch.device import guess_device
from lvmcheck.launch.environment import deciding
from lvmcheck.launch.home import make_home
from lvmcheck.launch.key import run_key
from lvmcheck.run.info import as_json, tainting
from lvmcheck.suite import Suite, find_trainer

SILENCE = 1800.0
"""Seconds without a step, an event or a line of output after which a trainer is taken to hang, by default."""


@dataclass(frozen=True)
class Settings:
    """How this session launches runs.

    Args:
        home: the folder for runs, caches and locks (``.lvmcheck``).
        root: working directory of trainers.
        session: identifies this pytest session, shared by all xdist workers.
        jobs: trainers at a time on the CPU; 0 means as many as cores allow.
        fresh: never reuse a run of another session.
        inprocess: train in this process, for debuggers.
        store: URL through which run directories of workers come back; empty where they see the home.
        parallel: schedule by devices, threads and memory.
        launcher, launcher_options: the engine that trainers run on, and what it is told.
        nonce: what a gate handed to this session; runs that bear another are not reused.
        env: environment variables that every trainer sees beside those that its suite names.
        timeout: seconds without a sign of life after which a trainer is taken to hang; None leaves it to the suite.
        check_timeout: seconds that a check of the user's own may take for one look.
        environment, start: environment and working directory of this process when the session began: whatever a test
            changes afterwards for its own use, trainers never see it.
    """

    home: Path
    root: Path
    session: str
    jobs: int = 0
    fresh: bool = False
    inprocess: bool = False
    parallel: bool = False
    launcher: str = "local"
    launcher_options: tuple[tuple[str, str], ...] = ()
    store: str = ""
    nonce: str = ""
    env: tuple[str, ...] = ()
    timeout: float | None = None
    check_timeout: float = LIMIT
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    start: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True)
class Plan:
    """One suite at one seed."""

    suite: Suite
    seed: int
    settings: Settings = field(repr=False)

    @property
    def title(self) -> str:
        return f"{self.suite.name} seed{self.seed}"

    @cached_property
    def config(self) -> dict[str, Any]:
        """What the trainer receives, with its defaults written out where its schema knows them."""
        asked = {**self.suite.config, "seed": self.seed}
        resolve = getattr(find_trainer(self.suite.trainer).schema(), "resolve", None)
        return dict(resolve(asked)) if resolve is not None else asked

    @property
    def threads(self) -> int:
        """Threads of the trainer.

        Raises:
            InputError: not an integer >= 1.
        """
        threads = self.config.get("threads", 1)
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise InputError("config", f"expected an integer >= 1, got {threads!r}", key="threads")
        return threads

    @property
    def ranks(self) -> int:
        """Processes that train one model together."""
        return self.suite.ranks

    @cached_property
    def device(self) -> str:
        """Device kind this run is expected on, without importing torch."""
        return guess_device(str(self.config.get("device", "auto")))

    @cached_property
    def trainer(self) -> str:
        found = find_trainer(self.suite.trainer)
        return f"{found.module}:{found.function}"

    @cached_property
    def key(self) -> dict[str, Any]:
        """The parts of the run's key and ``key`` itself.

        Raises:
            InputError: an input file cannot be read.
        """
        make_home(self.settings.home)
        found = find_trainer(self.suite.trainer)
        input_files = getattr(found.schema(), "input_files", None)
        inputs = {*(input_files(self.config) if input_files is not None else ()), *self._named_inputs()}
        return run_key(
            self.trainer,
            self.config,
            self.seed,
            device=self.device,
            inputs=inputs,
            cache=self.cache,
            environment=deciding(self.settings.environment, self.env),
            ranks=self.ranks,
        )

    @property
    def cache(self) -> Path:
        """Where digests of unchanged files are remembered."""
        return self.settings.home / "cache" / "digests"

    @property
    def env(self) -> tuple[str, ...]:
        """Environment variables that the trainer sees beside the usual ones."""
        return tuple(dict.fromkeys((*self.suite.env, *self.settings.env)))

    @property
    def timeout(self) -> float:
        """Seconds without a sign of life after which the trainer is taken to hang."""
        return self.settings.timeout or self.suite.timeout or SILENCE

    def _named_inputs(self) -> Iterable[Path]:
        """The files of ``[run] inputs``, as they lie below the working directory of trainers.

        Raises:
            InputError: one that names no file.
        """
        root = self.settings.root
        for name in self.suite.inputs or ():
            there = [root / name] if (root / name).exists() else list(_matching(root, name))
            files = [file for path in there for file in (path.rglob("*") if path.is_dir() else (path,))]
            if not any(file.is_file() for file in files):
                path, line = self.suite.where("run.inputs")
                raise InputError(path, f"expected a file, a folder or a pattern, found none at {name}", line=line)
            yield from (file for file in files if not file.is_dir())

    @cached_property
    def states_inputs(self) -> bool:
        """Whether the suite or the trainer's schema says what the trainer reads."""
        schema = find_trainer(self.suite.trainer).schema()
        return self.suite.inputs is not None or hasattr(schema, "input_files")

    @property
    def folder(self) -> Path:
        name = f"{self.suite.profile}-seed{self.seed}-{self.key['key'][:8]}"
        return self.settings.home / "runs" / Path(self.suite.name) / name

    def info(self) -> dict[str, Any]:
        """What ``run.json`` says beside versions and time."""
        return {
            "suite": self.suite.name,
            "suite_file": str(self.suite.path),
            "profile": self.suite.profile,
            "seed": self.seed,
            "trainer": self.trainer,
            "config": self.config,
            "device": self.device,
            **({"ranks": self.ranks} if self.ranks > 1 else {}),
            "key": self.key["key"],
            "source": self.key["source"],
            "inputs": self.key["inputs"],
            "states_inputs": self.states_inputs,
            "variables": self.key["environment"],
            "environment": tainting(self.settings.environment),
            "session": self.settings.session,
            "nonce": self.settings.nonce,
        }

    @cached_property
    def stated(self) -> dict[str, Any]:
        """What decides how a run is judged: the suite's, whatever the run directory says."""
        return {"config": as_json(self.config), "seed": self.seed}

    def locate(self, error: InputError) -> InputError:
        """An error of the trainer about its config, with file and line of the suite; one about a file stays itself."""
        key = (error.key or "").removeprefix("run.")
        known = {*self.suite.config, "trainer", "threads", "window"}
        if error.line is not None or key.partition(".")[0] not in known or Path(error.where).is_file():
            return error
        path, line = self.suite.where(f"run.{key}")
        return InputError(path, f"{error.key}: {error.problem}", line=line, fix=error.fix)


def _matching(root: Path, pattern: str) -> Iterable[Path]:
    whole = Path(pattern)
    base = Path(whole.anchor) if whole.anchor else root
    return base.glob(str(whole.relative_to(base) if whole.anchor else whole))
