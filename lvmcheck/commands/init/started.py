"""How a suite starts a training: by its trainer, or by the command line of a script that stays as it is."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lvmcheck.errors import InputError, nearest
from lvmcheck.run.view import Run
from lvmcheck.suite import find_trainer
from lvmcheck.suite.called import COMMAND
from lvmcheck.suite.trainer import Trainer

PYTHON = ("python", "python3")
RUN = ("lvmcheck", "run", "--into", "{out}")
"""What records a script that does not record itself."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A trainer as a suite names it.

    Attributes:
        config: keys of ``[run]`` that it needs. takes_config: it gets the recorded configuration, too.
        seeded: it can train another seed. shown: what it is called.
        handed: keys of the recorded configuration that its command line holds.
    """

    trainer: str
    shown: str
    config: Mapping[str, object] = field(default_factory=dict)
    takes_config: bool = True
    seeded: bool = True
    handed: tuple[str, ...] = ()


def of_trainer(trainer: str | None, run: Run, path: str) -> Started:
    """The trainer that is named, or that the run records.

    Raises:
        InputError: there is none.
    """
    own = run.info.get("trainer")
    if trainer is None and isinstance(own, str) and own != COMMAND:
        trainer = own
    if trainer is None:
        fix = (
            "Name what trains it: --trainer package.module:function, or as it is --script 'train.py ARGUMENTS' "
            "(docs/suite-format.md, [run])."
        )
        raise InputError(path, "records no trainer", fix=fix)
    _check_function(find_trainer(trainer), trainer)
    return Started(trainer=trainer, shown=trainer)


def _check_function(found: Trainer, name: str) -> None:
    """Refuse a name that its module does not have, or that cannot be called with a config and a recorder.

    Raises:
        InputError: names the nearest function, or what the function takes.
    """
    spec = importlib.util.find_spec(found.module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return
    try:
        body = ast.parse(Path(spec.origin).read_bytes()).body
    except (OSError, SyntaxError, ValueError) as problem:
        raise InputError(spec.origin, f"cannot be read as Python: {problem}") from None
    functions = {item.name: item for item in body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
    text = ast.unparse(ast.Module([item for item in body if item not in functions.values()], []))
    chosen = functions.get(found.function)
    if chosen is None and not re.search(rf"\b{found.function}\b", text) and "import *" not in text:
        fix = nearest(found.function, list(functions))
        raise InputError(f"trainer {name!r}", f"{found.module} has no {found.function}", fix=fix)
    if chosen is not None and not _takes_two(chosen.args):
        taken = ", ".join(arg.arg for arg in chosen.args.args)
        fix = "Write one that calls it, or give the script as it is: --script 'SCRIPT.py ARGUMENTS'."
        raise InputError(f"trainer {name!r}", f"expected a function of (config, rec), got ({taken})", fix=fix)


def _takes_two(args: ast.arguments) -> bool:
    places, given = [*args.posonlyargs, *args.args], len(args.defaults)
    needed = any(default is None for default in args.kw_defaults)
    return not needed and len(places) - given <= 2 and (len(places) >= 2 or args.vararg is not None)


def of_script(text: str, recorded: Mapping[str, object]) -> Started:
    """A script with its arguments; one that does not record itself is run by ``lvmcheck run``.

    A script that is given alone gets what was recorded of its run, as far as it has options for it.

    Raises:
        InputError: it cannot be read or is not there.
    """
    try:
        words = shlex.split(text)
    except ValueError as problem:
        raise InputError("--script", f"cannot be read as a command line: {problem}") from None
    if len(words) > 1 and words[0] in PYTHON and words[1].endswith(".py"):
        words = words[1:]
    if not words:
        raise InputError("--script", "expected a script and its arguments, got nothing")
    if not words[0].endswith(".py"):
        return Started(trainer=COMMAND, shown=words[0], config={"command": words}, takes_config=False)
    path = Path(words[0])
    if not path.is_file():
        there = [str(file) for file in Path().glob("*.py")] + [str(file) for file in Path().glob("*/*.py")]
        raise InputError("--script", f"no script {words[0]!r}", fix=nearest(words[0], there))
    body = path.read_text(encoding="utf-8", errors="replace")
    handed = _handed(body, recorded) if len(words) == 1 else _given(words, recorded)
    if len(words) == 1:
        arguments = recorded.get("arguments")  # of a run that `lvmcheck run` recorded
        own = [word for each in handed.values() for word in each]
        words += [str(word) for word in arguments] if isinstance(arguments, list) else own
    records = "lvmcheck" in body or any("{out}" in word for word in words) or "LVMCHECK_RUN" in body
    seeded = any("{seed}" in word for word in words) or "LVMCHECK_SEED" in body
    config: dict[str, object] = {"command": words}
    if not records:
        config = {"command": [*RUN, *words], "inputs": [str(path)]}
    return Started(
        trainer=COMMAND, shown=words[0], config=config, takes_config=False, seeded=seeded, handed=tuple(handed)
    )


def _handed(body: str, recorded: Mapping[str, object]) -> dict[str, list[str]]:
    """Recorded values for which a script has an option of that name -> their words on its command line."""
    found: dict[str, list[str]] = {}
    for key, value in recorded.items():
        flag = next((name for name in _flags(key) if re.search(rf"""["']{re.escape(name)}["']""", body)), None)
        if flag is None or not isinstance(value, bool | int | float | str):
            continue
        if key == "seed":
            found[key] = [flag, "{seed}"]
        elif not isinstance(value, bool):
            found[key] = [flag, str(value)]
        else:
            negative = [flag.replace("--", "--no-", 1)] if "BooleanOptionalAction" in body else []
            found[key] = [flag] if value else negative
    return found


def _given(words: Sequence[str], recorded: Mapping[str, object]) -> dict[str, list[str]]:
    """Recorded keys for which the person gave an option."""
    options = {word.partition("=")[0] for word in words}
    return {key: [] for key in recorded if options.intersection(_flags(key))}


def _flags(key: str) -> tuple[str, str]:
    return f"--{key}", f"--{key.replace('_', '-')}"
