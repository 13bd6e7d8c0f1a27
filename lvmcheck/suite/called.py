"""A training that a Python test calls for, as a suite: its trainer, config and seeds, and the line of the call."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lvmcheck.errors import BadValueError, InputError, excerpt
from lvmcheck.suite.lines import KeyPath, Lines
from lvmcheck.suite.model import CheckEntry, Suite
from lvmcheck.suite.source import Source
from lvmcheck.suite.tables import RunTable
from lvmcheck.suite.trainer import find_trainer
from lvmcheck.validation import validated

PROFILE = "python"
"""Profile of every training that a Python test calls for."""
COMMAND = "lvmcheck.integrations.command:train"
"""The trainer that runs a script or a command line."""
Trainer = str | Sequence[str] | Callable[..., object]


@dataclass(frozen=True)
class Call:
    """Where a test calls: file and 1-based line."""

    path: Path
    line: int

    def error(self, problem: str, *, key: str | None = None, fix: str | None = None) -> InputError:
        return InputError(self.path, problem, line=self.line, key=key, fix=fix)


@dataclass(frozen=True)
class CallLines(Lines):
    """Every key stands on the line of the call."""

    line: int = 1

    def exact(self, path: KeyPath) -> int | None:
        return self.line if path == ("run",) else None

    def nearest(self, path: KeyPath) -> int | None:  # noqa: ARG002
        return self.line


@dataclass(frozen=True)
class CallSource(Source):
    """The source of a suite that is a call."""

    line: int = 1

    @cached_property
    def lines(self) -> Lines:
        return CallLines((), {}, self.line)


@dataclass(frozen=True, kw_only=True)
class CalledSuite(Suite):
    """A training with its seeds.

    Args:
        digest: of trainer, config and how it is launched: equal ones are one training, whichever test calls.
    """

    digest: str

    @property
    def place(self) -> str:
        return f"{self.name}:{self.digest}"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a test asks for, as it wrote it."""

    trainer: Trainer
    config: Mapping[str, object]
    seeds: Sequence[int]
    env: Sequence[str] = ()
    inputs: Sequence[str] | None = None
    timeout: float | None = None


def called_suite(
    wanted: Wanted,
    call: Call,
    *,
    root: Path,
    checks: Sequence[CheckEntry] = (),
    changes: Mapping[str, object] | None = None,
) -> CalledSuite:
    """The suite of a call.

    Args:
        changes: what options of the session change in the config.
        root: the working directory of trainers, against which scripts are found.
        checks: those that are judged while it trains.

    Raises:
        InputError: trainer, config or seeds cannot be used; names file and line of the call.
    """
    config = _plain(wanted.config, call)
    trainer, name, more = _trainer(wanted.trainer, call, root)
    both = {**config, **more, **(changes or {})}
    launch: dict[str, Any] = {"env": list(wanted.env), "timeout": wanted.timeout}
    launch["inputs"] = None if wanted.inputs is None else list(wanted.inputs)
    given = {key: value for key, value in launch.items() if value is not None}
    table = {"trainer": trainer, "epochs": config.get("epochs", 1), "seeds": _list(wanted.seeds), **given}
    try:
        asked = validated(RunTable, table)
        schema = find_trainer(trainer).schema()
        if schema is not None and hasattr(schema, "validate"):
            schema.validate(dict(both))
    except (BadValueError, InputError) as problem:
        raise call.error(problem.problem, key=problem.key or "trainer", fix=problem.fix) from None
    spelled = json.dumps(
        [trainer, both, launch, [[entry.node, entry.params] for entry in checks]], sort_keys=True, default=str
    )
    return CalledSuite(
        path=call.path,
        name=re.sub(r"[^\w.-]+", "_", name)[:80].strip(".") or "training",
        about="",
        profile=PROFILE,
        profiles=(PROFILE,),
        trainer=trainer,
        config=both,
        seeds=tuple(asked.seeds),
        checks=tuple(checks),
        declared=len(checks),
        env=asked.env,
        inputs=asked.inputs,
        timeout=asked.timeout,
        origin=CallSource(call.path, "", {}, call.line),
        digest=hashlib.sha256(spelled.encode()).hexdigest()[:16],
    )


def _list(seeds: object) -> object:
    return list(seeds) if isinstance(seeds, Sequence | range) and not isinstance(seeds, str) else seeds


def _plain(config: object, call: Call) -> dict[str, object]:
    """The config as a trainer in another process can receive it."""
    if not isinstance(config, Mapping):
        raise call.error(f"expected a dictionary, got {excerpt(repr(config))}", key="config")
    for key, value in config.items():
        if not isinstance(key, str):
            raise call.error(f"expected names as keys, got {excerpt(repr(key))}", key="config")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            text = f"expected finite numbers, texts, truth values, lists or dictionaries, got {excerpt(repr(value))}"
            raise call.error(text, key=f"config.{key}") from None
    if "seed" in config:
        raise call.error("unknown key", key="config.seed", fix="Give seeds=[0, 1, 2]; each run gets one of them.")
    plain: dict[str, object] = json.loads(json.dumps(dict(config)))
    return plain


def _trainer(trainer: Trainer, call: Call, root: Path) -> tuple[str, str, dict[str, object]]:
    """The trainer by name, the name of its runs, and what its config holds beside the test's own."""
    if callable(trainer):
        name = _function(trainer, call)
        return name, name.replace(":", "."), {}
    if not isinstance(trainer, str | Sequence) or not all(isinstance(word, str) for word in trainer) or not trainer:
        text = (
            f"expected 'module:function', a function, ['train.py', ...] or a command line, got {excerpt(str(trainer))}"
        )
        raise call.error(text, key="trainer")
    if isinstance(trainer, str) and not any(mark in trainer for mark in (" ", "/", "\\", ".py")):
        return trainer, trainer.replace(":", "."), {}
    words = _words(trainer, call)
    script = words[0].endswith(".py")
    if script and not (root / words[0]).is_file():
        raise call.error(f"no script {words[0]!r} below {root.name or root}", key="trainer", fix=_scripts(root))
    return COMMAND, Path(words[0]).stem, {"command": words}


def _words(trainer: str | Sequence[str], call: Call) -> list[str]:
    import shlex

    try:
        words = shlex.split(trainer) if isinstance(trainer, str) else list(trainer)
    except ValueError as problem:
        raise call.error(f"expected a command line, got {excerpt(str(trainer))} ({problem})", key="trainer") from None
    if not words or not words[0]:
        raise call.error("expected a command line, got nothing", key="trainer")
    return words


def _scripts(root: Path) -> str:
    found = sorted(path.name for path in root.glob("*.py"))[:8]
    return f"Scripts are found from pytest's rootdir; there: {', '.join(found) or 'none'}."


def _function(trainer: Callable[..., object], call: Call) -> str:
    """A function as ``module:function``: another process imports it."""
    module, name = getattr(trainer, "__module__", None), getattr(trainer, "__qualname__", "")
    if not isinstance(module, str) or module == "__main__" or not name.isidentifier():
        text = f"expected a function at the top of a module, got {excerpt(name or repr(trainer))}"
        raise call.error(text, key="trainer", fix="Another process imports it: move it there.")
    return f"{module}:{name}"
