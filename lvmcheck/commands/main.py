"""``lvmcheck``: judge runs and data, diagnose and explain from the command line.

A command is one module (or package) of this folder, found by its name. It exports ``HELP`` (one line), ``EXAMPLE`` (a
command line), ``add_arguments(parser)``, ``run(options) -> int``, and ``EXITS`` where its exit codes have meanings of
their own. Only the command that is called is imported.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol, cast

from lvmcheck import __version__
from lvmcheck.commands._exit import BAD_INPUT, FAILED, INTERNAL, NO_READER, PASSED
from lvmcheck.errors import InputError, nearest
from lvmcheck.text.fit import fit_line
from lvmcheck.text.say import complain

EXITS = {
    PASSED: "nothing failed",
    FAILED: "something failed",
    BAD_INPUT: "bad input",
    INTERNAL: "internal error",
    NO_READER: "the reader of the output is gone",
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


class Parser(argparse.ArgumentParser):
    """A parser whose errors quote the command line in a form that is fit to be shown."""

    def error(self, message: str) -> NoReturn:
        super().error(fit_line(message))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ is no internal error
    if arguments is None:  # a process of its own: nothing that is loaded once is looked through for cycles again
        gc.set_threshold(100_000, 50, 100)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        known = command_names()
        if given and not given[0].startswith("-") and given[0] not in known:
            fix = nearest(given[0], known, "All: lvmcheck --help.")
            raise InputError(f"command {given[0]!r}", "no such command", fix=fix)
        options, unknown = parser(given[0] if given else "").parse_known_args(given)
        if unknown:
            raise _unknown(given[0], unknown[0], options.known_options)
        command: Command = options.command
        code = command.run(options)
        sys.stdout.flush()
        return code
    except InputError as problem:
        complain(problem if problem.id is None else f"{problem} [{problem.id}]")
        return BAD_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at exit
        return NO_READER
    except Exception as problem:
        complain(f"internal error: {type(problem).__name__}: {problem}")
        return INTERNAL


def _unknown(command: str, argument: str, known: Sequence[str]) -> InputError:
    option = argument.partition("=")[0]
    what = f"no such option {option!r}" if option.startswith("-") else f"one argument too many, {argument!r}"
    fix = nearest(option, known) if option.startswith("-") else ""
    return InputError(f"lvmcheck {command}", what, fix=fix or f"All: lvmcheck {command} --help.")


def command_names() -> list[str]:
    """Names of the commands, from the file system alone."""
    folder = Path(__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return sorted(name for name in modules if not name.startswith("_") and name != "main")


def load_command(name: str) -> Command:
    """The module of a command."""
    return cast(Command, importlib.import_module(f"{__package__}.{name}"))


def parser(first: str = "") -> argparse.ArgumentParser:
    """The parser of all commands, or of the one that ``first``, the first argument, names."""
    top = Parser(prog="lvmcheck", description="pytest for training runs")
    top.add_argument("--version", action="version", version=f"lvmcheck {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True, prog="lvmcheck")  # given, or shutil is imported
    names = command_names()
    for name in [first] if first in names else names:
        command = load_command(name)
        exits: dict[int, str] = getattr(command, "EXITS", EXITS)
        one = commands.add_parser(
            name,
            help=command.HELP,
            description=command.HELP,
            epilog=f"example:\n  {command.EXAMPLE}\n\nexit codes:\n"
            + "\n".join(f"  {code:3}  {meaning}" for code, meaning in sorted({**EXITS, **exits}.items())),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(one)
        one.set_defaults(command=command, known_options=[*one._option_string_actions])
    return top


if __name__ == "__main__":
    sys.exit(main())
