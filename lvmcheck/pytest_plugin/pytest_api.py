"""All that lvmcheck uses of pytest without a promise that it stays: one file to look at when pytest changes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter
from _pytest.runner import runtestprotocol

from lvmcheck.report.failure import Failure
from lvmcheck.report.width import wrapped
from lvmcheck.text.fit import fit_line, fit_lines

__all__ = [
    "FailureRepr",
    "column",
    "columns",
    "fixture_module",
    "line_width",
    "never_fail",
    "run_again",
    "tell",
    "tell_command",
    "tell_heading",
    "without_pytest_frames",
    "write_raw",
]


class FailureRepr(TerminalRepr):
    """A failure as pytest shows it: its headline alone in the summary, the line of the suite in annotations."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        self.reprcrash = ReprFileLocation(str(failure.path), failure.line, fit_line(failure.headline))

    def toterminal(self, tw: TerminalWriter) -> None:
        for line in wrapped(f"  {self.failure.headline}", line_width(tw)):
            tw.line(fit_line(line), red=True, bold=True)
        for line in self.failure.lines:
            for part in wrapped(f"  {line}" if line else "", line_width(tw)):
                tw.line(fit_line(part))

    def __str__(self) -> str:
        return fit_lines([self.failure.headline, *self.failure.lines])


def tell(reporter: Any, line: str, **markup: bool) -> None:
    """A line of the terminal's reporter."""
    reporter.write_line(fit_line(line), **markup)


def tell_heading(reporter: Any, mark: str, title: str) -> None:
    """A line filled with ``mark`` around a title."""
    reporter.write_sep(mark, fit_line(title))


def tell_command(reporter: Any, command: str) -> None:
    """A command to the runner of a job, whose parts are escaped."""
    reporter.write_line(command)


def column(reporter: Any) -> int:
    """The column at which the terminal's reporter goes on; a line that is longer than the screen has wrapped."""
    return int(reporter._tw.width_of_current_line) % max(1, columns(reporter))


def columns(reporter: Any) -> int:
    """How wide the terminal is."""
    return int(reporter._tw.fullwidth)


def write_raw(reporter: Any, text: str) -> None:
    """Text with commands to the terminal, of which the reporter knows nothing; its parts are fit to be shown."""
    reporter._tw._file.write(text)
    reporter._tw._file.flush()


def line_width(tw: TerminalWriter) -> int | None:
    """The width of a terminal; None where the output is no terminal."""
    return tw.fullwidth if tw.hasmarkup else None


def never_fail(tw: TerminalWriter) -> None:
    """Replaces characters that the output cannot encode, instead of ending the session."""
    if isinstance(tw._file, io.TextIOWrapper) and tw._file.errors == "strict":
        tw._file.reconfigure(errors="replace")


def fixture_module(item: pytest.Item, name: str) -> str:
    """The module whose fixture of that name a test uses; empty where it uses none."""
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).get(name, ())
    return getattr(known[-1].func, "__module__", "") if known else ""


def without_pytest_frames(excinfo: pytest.ExceptionInfo[BaseException], path: str) -> Any:
    """The exception's traceback from behind a frame of ``path``."""
    return excinfo.traceback.cut(path=Path(path))


def run_again(item: pytest.Item, following: pytest.Item | None) -> None:
    """Run an item once more without reporting it."""
    runtestprotocol(item, log=False, nextitem=following)
