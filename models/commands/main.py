"""``python -m models``: train a model, talk to it, test it, serve it.

A command is one module of this folder, found by its name. It exports ``HELP`` (one line), ``EXAMPLE`` (command lines),
``add_arguments(parser)`` and ``run(options) -> int``. Only the command that is called is imported, and torch only when
it runs.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from lvmcheck.errors import InputError, nearest
from lvmcheck.text.say import complain

PASSED, FAILED, BAD_INPUT, INTERNAL, NO_READER = 0, 1, 2, 3, 141
EXITS = {
    PASSED: "done",
    FAILED: "done, and below what was asked for (a floor, a check)",
    BAD_INPUT: "bad input",
    INTERNAL: "internal error",
}


class Command(Protocol):
    """What a module of a command offers."""

    HELP: str
    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's own arguments."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Run it; returns the exit code."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        known = command_names()
        if given and not given[0].startswith("-") and given[0] not in known:
            raise InputError(f"command {given[0]!r}", "no such command", fix=nearest(given[0], known))
        options, unknown = parser(given[0] if given else "").parse_known_args(given)
        if unknown:
            raise _unknown(given[0], unknown[0], options.known_options)
        code = cast(Command, options.command).run(options)
        sys.stdout.flush()
        return code
    except InputError as problem:
        complain(problem if problem.id is None else f"{problem} [{problem.id}]")
        return BAD_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return NO_READER
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except Exception as problem:
        complain(f"internal error: {type(problem).__name__}: {problem}")
        return INTERNAL


def _unknown(command: str, argument: str, known: Sequence[str]) -> InputError:
    option = argument.partition("=")[0]
    if option.startswith("-"):
        return InputError(f"models {command}", f"no such option {option!r}", fix=nearest(option, known))
    fix = f"All: python -m models {command} --help."
    return InputError(f"models {command}", f"one argument too many, {argument!r}", fix=fix)


def command_names() -> list[str]:
    """Names of the commands, from the file system alone."""
    stems = {path.stem for path in Path(__file__).parent.glob("*.py")}
    return sorted(name for name in stems if not name.startswith("_") and name != "main")


def load_command(name: str) -> Command:
    """The module of a command."""
    return cast(Command, importlib.import_module(f"{__package__}.{name}"))


def parser(first: str = "") -> argparse.ArgumentParser:
    """The parser of all commands, or of the one that ``first``, the first argument, names."""
    top = argparse.ArgumentParser(prog="python -m models", description="train a model, talk to it, test it, serve it")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    names = command_names()
    for name in [first] if first in names else names:
        command = load_command(name)
        exits = "\n".join(f"  {code}  {meaning}" for code, meaning in EXITS.items())
        examples = "\n".join(f"  {line}" for line in command.EXAMPLE.splitlines())
        one = commands.add_parser(
            name,
            help=command.HELP,
            description=command.HELP,
            epilog=f"example:\n{examples}\n\nexit codes:\n{exits}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(one)
        one.set_defaults(command=command, known_options=[*one._option_string_actions])
    return top
