"""The command line of a package whose commands are modules of one folder: found by presence, imported when called.

A command is one module (or package) of the folder. It exports ``HELP`` (one line), ``EXAMPLE`` (command lines),
``add_arguments(parser)``, ``run(options) -> int``, and ``EXITS`` where its exit codes have meanings of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol, cast

from lvmcheck.errors import InputError, nearest
from lvmcheck.text.say import complain

BAD_INPUT, INTERNAL, INTERRUPTED, NO_READER = 2, 3, 130, 141
"""Exit codes that every command may have; the last two are 128 + SIGINT, and 128 + SIGPIPE."""
MISSING = "the following arguments are required: "
"""How argparse begins what it says of arguments that were not given."""


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


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line with an example."""

    example = ""

    def error(self, message: str) -> NoReturn:
        problem = f"missing: {message.removeprefix(MISSING)}" if message.startswith(MISSING) else message
        example = f"Example: {self.example.splitlines()[0]}. " if self.example else ""
        raise InputError(self.prog, problem, fix=f"{example}All: {self.prog} --help.")


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """The commands of one package.

    Args:
        package: name of the package, whose folder is ``folder``.
        prog: the words that a command line begins with.
        about: what the program does, in a few words.
        version: what ``--version`` prints; without it there is no such option.
        exits: meaning of each exit code.
    """

    package: str
    folder: Path
    prog: str
    about: str
    exits: Mapping[int, str]
    version: str = ""

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run one command; returns the exit code."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal without ✓ is no internal error
        given = list(sys.argv[1:] if arguments is None else arguments)
        try:
            code = self._run(given)
            if sys.stdout is not None:  # closed before this process began
                sys.stdout.flush()
            return code
        except InputError as problem:
            return _told(problem if problem.id is None else f"{problem} [{problem.id}]", BAD_INPUT)
        except BrokenPipeError:
            _print_no_more()
            return NO_READER
        except KeyboardInterrupt:
            return _told("interrupted", INTERRUPTED)
        except OSError as problem:
            if problem.filename is None:  # neither a file nor a folder: what is printed is refused
                _print_no_more()
                return _told(f"what was to be printed was refused: {problem.strerror or problem}", INTERNAL)
            return _told(InputError(problem.filename, f"cannot be used: {problem.strerror or problem}"), BAD_INPUT)
        except Exception as problem:
            return _told(f"internal error: {type(problem).__name__}: {problem}", INTERNAL)

    def _run(self, given: list[str]) -> int:
        if not given:
            self.parser().print_help()
            return BAD_INPUT
        known = self.names()
        if not given[0].startswith("-") and given[0] not in known:
            fix = nearest(given[0], known, f"All: {self.prog} --help.")
            raise InputError(f"command {given[0]!r}", "no such command", fix=fix)
        options, unknown = self.parser(given[0]).parse_known_args(given)
        if unknown:
            raise self._unknown(given[0], unknown[0], options.known_options)
        return cast(Command, options.command).run(options)

    def _unknown(self, command: str, argument: str, known: Sequence[str]) -> InputError:
        option = argument.partition("=")[0]
        what = f"no such option {option!r}" if option.startswith("-") else f"one argument too many, {argument!r}"
        fix = nearest(option, known) if option.startswith("-") else ""
        return InputError(f"{self.prog} {command}", what, fix=fix or f"All: {self.prog} {command} --help.")

    def names(self) -> list[str]:
        """Names of the commands, from the file system alone."""
        packages = {path.parent.name for path in self.folder.glob("*/__init__.py")}
        names = {path.stem for path in self.folder.glob("*.py")} | packages
        return sorted(name for name in names if not name.startswith("_") and name != "main")

    def load(self, name: str) -> Command:
        """The module of a command."""
        return cast(Command, importlib.import_module(f"{self.package}.{name}"))

    def parser(self, first: str = "") -> Parser:
        """The parser of all commands, or of the one that ``first``, the first argument, names."""
        top = Parser(prog=self.prog, description=self.about)
        if self.version:
            top.add_argument("--version", action="version", version=self.version)
        commands = top.add_subparsers(metavar="COMMAND", required=True, prog=self.prog)  # or shutil is imported
        names = self.names()
        for name in [first] if first in names else names:
            command = self.load(name)
            exits = {**self.exits, **getattr(command, "EXITS", {})}
            meanings = [f"  {code:3}  {meaning}" for code, meaning in sorted(exits.items())]
            examples = [f"  {line}" for line in command.EXAMPLE.splitlines()]
            one = commands.add_parser(
                name,
                help=command.HELP,
                description=command.HELP,
                epilog="\n".join(["example:", *examples, "", "exit codes:", *meanings]),
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            one.example = command.EXAMPLE
            command.add_arguments(one)
            one.set_defaults(command=command, known_options=[*one._option_string_actions])
        return top


def _print_no_more() -> None:
    """What is still to be printed goes nowhere, or Python complains when it exits and ends with a code of its own."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(problem: object, code: int) -> int:
    """The exit code, once the problem has been said where somebody may hear it."""
    with contextlib.suppress(OSError, ValueError):
        complain(problem)
    return code
