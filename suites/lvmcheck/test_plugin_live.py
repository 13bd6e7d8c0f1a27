"""Progress in a terminal: a block below the line of results, which goes on as if nothing had been drawn."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from lvmcheck.pytest_plugin.below import Below
from suites.lvmcheck.plugin_kit.project import Project

ROWS, COLUMNS = 6, 40


class Screen:
    """As much of a terminal as the block uses: line feeds that scroll, cursor up and right, and clearing."""

    def __init__(self) -> None:
        self.cells = [[" "] * COLUMNS for _ in range(ROWS)]
        self.row = self.column = 0
        self.width_of_current_line, self.fullwidth = 0, COLUMNS
        self._file = SimpleNamespace(write=self._commands, flush=lambda: None)

    def write(self, text: str) -> None:
        """What pytest writes itself."""
        self._commands(text)
        self.width_of_current_line = len(text.rpartition("\n")[2]) + (0 if "\n" in text else self.width_of_current_line)

    def _commands(self, text: str) -> None:
        for number, command, plain in re.findall(r"\x1b\[(\d*)([A-Z])|([^\x1b])", text):
            if plain:
                self._plain(plain)
            elif command == "A":
                self.row = max(0, self.row - int(number))
            elif command == "C":
                self.column = min(COLUMNS - 1, self.column + int(number))
            else:
                start = 0 if command == "K" else self.column
                self.cells[self.row][start:] = [" "] * (COLUMNS - start)
                for row in self.cells[self.row + 1 :] if command == "J" else ():
                    row[:] = [" "] * COLUMNS

    def _plain(self, char: str) -> None:
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.column, self.row = 0, self.row + 1
            if self.row == ROWS:
                self.row = ROWS - 1
                self.cells = [*self.cells[1:], [" "] * COLUMNS]
        else:
            self.cells[self.row][self.column] = char
            self.column += 1

    @property
    def lines(self) -> list[str]:
        return ["".join(row).rstrip() for row in self.cells]


@pytest.mark.parametrize("before", ["", "one\n", "one\ntwo\nthree\nfour\n", "1\n2\n3\n4\n5\n6\n"])
@pytest.mark.parametrize("begun", ["", "suite.toml ."])
def test_the_line_of_results_goes_on(before: str, begun: str) -> None:
    screen = Screen()
    below = Below(SimpleNamespace(_tw=screen))
    screen.write(before + begun)
    for lines in (
        ["  seed0  waiting", "  seed1  waiting"],
        ["  seed0  epoch 1/4", "  seed1  waiting", "more"],
        ["  seed1"],
    ):
        below.draw(lines)
        shown = [line for line in screen.lines if line]
        assert shown[-len(lines) :] == lines
    below.clear()
    screen.write("." if begun else "suite.toml .")
    shown = [line for line in screen.lines if line]
    assert shown[-1] == ("suite.toml .." if begun else "suite.toml .")
    assert not [line for line in shown if "seed" in line or "more" in line]


def test_a_line_that_has_wrapped_goes_on_where_it_stood() -> None:
    screen = Screen()
    screen.write("x" * 30)
    screen.width_of_current_line = COLUMNS + 30  # the terminal has wrapped it by itself
    Below(SimpleNamespace(_tw=screen)).draw(["seed0"])
    assert screen.column == 30


def test_results_of_a_suite_stand_in_one_line(pytester: pytest.Pytester) -> None:
    project = Project(pytester)
    out = project.pytest("--lvm-progress", "live", "--lvm-seeds", "0,1").stdout.str()
    assert re.search(r"^suites/toy/suite\.toml", re.sub(r"\x1b\[\d*[A-Z]|\r", "", out), re.MULTILINE)
    assert out.count("suites/toy/suite.toml .") == 1
    assert re.search(r"seed0 .*epoch \d/4", out)
