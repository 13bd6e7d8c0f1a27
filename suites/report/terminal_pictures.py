"""Pictures of the terminal for the documentation: ``python -m suites.report.terminal_pictures [-o docs/images]``.

What is shown happens in a real terminal (tmux) in an empty folder: a suite while it trains, and a run that is doomed.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from rich.terminal_theme import TerminalTheme

from lvmcheck.errors import InputError
from suites.report.browser import Browser

SOCKET = "lvmcheck-pictures"
PATIENCE = 60.0
PAGE = """<!doctype html><meta charset="utf-8"><style>{stylesheet}
body {{ margin: 0; padding: 14px 18px; background: #16181d; color: #d8dee9; }}
pre {{ margin: 0; font: 14px/1.35 "DejaVu Sans Mono", monospace; }}</style><pre><code>{code}</code></pre>"""
SLOWER = ("sed -i 's/^windows = .*/windows = 4000/; s/^epochs = .*/epochs = 12/' suites/example/suite.toml",)
DOOMED = ("sed -i 's/^lr = 0.5/lr = 0.001/' suites/example/suite.toml",)


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A picture: what is done before, the command that is shown, and when the picture is taken."""

    name: str
    columns: int
    rows: int
    before: Sequence[str]
    command: str
    taken: Callable[[str], bool]


def ended(screen: str) -> bool:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    return re.search(r"\d+ (passed|failed)\b[^\n]* in \d", plain) is not None


def in_the_middle(screen: str) -> bool:
    return re.search(r"seed1 .*epoch [3-9]/", screen) is not None


SHOTS = (
    Shot(
        name="terminal-live", columns=110, rows=26, before=SLOWER, command="pytest suites/example", taken=in_the_middle
    ),
    Shot(
        name="terminal-failure",
        columns=110,
        rows=52,
        before=DOOMED,
        command="clear; pytest suites/example -q -k 'seed0 and cosine_floor'",
        taken=ended,
    ),
)


DARK = TerminalTheme(
    (22, 24, 29),
    (216, 222, 233),
    [
        *((70, 76, 89), (224, 108, 117), (152, 195, 121), (229, 192, 123)),
        *((97, 175, 239), (198, 120, 221), (86, 182, 194), (216, 222, 233)),
    ],
)


class Terminal(AbstractContextManager["Terminal"]):
    """A terminal of that size in an empty folder, with this environment's programs first."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        if shutil.which("tmux") is None:
            raise InputError("tmux", "is not installed", fix="apt-get install tmux")
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        size = ["-x", str(columns), "-y", str(rows)]
        shell = ["env", "-u", "CI", f"PATH={path}", "PS1=$ ", "TERM=screen-256color", "bash", "--norc", "--noprofile"]
        self._tmux("new-session", "-d", "-s", "shot", *size, "-c", str(folder), shlex.join(shell))

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-L", SOCKET, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def types(self, line: str) -> None:
        self._tmux("send-keys", "-t", "shot", "-l", line)
        self._tmux("send-keys", "-t", "shot", "Enter")

    def screen(self) -> str:
        """What is seen now, with its colours."""
        return self._tmux("capture-pane", "-t", "shot", "-p", "-e").rstrip() + "\n"

    def until(self, seen: Callable[[str], bool]) -> str:
        """The first screen of which that holds."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            found = self.screen()
            if seen(found):
                return found
            time.sleep(0.1)
        raise InputError("terminal", f"did not show what was waited for:\n{self.screen()}")

    def __exit__(self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None) -> None:
        self._tmux("kill-session", "-t", "shot")


def taken(shot: Shot, folder: Path) -> str:
    """The screen of a picture, as a terminal's text with its colours."""
    quiet = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([sys.executable, "-m", "lvmcheck", "init"], **quiet)  # type: ignore[call-overload]
    for command in shot.before:
        subprocess.run(["bash", "-c", command], **quiet)  # type: ignore[call-overload]
    with Terminal(folder, shot.columns, shot.rows) as terminal:
        terminal.until(lambda screen: screen.strip() == "$")
        terminal.types(shot.command)
        return terminal.until(shot.taken)


def page(screen: str, columns: int) -> str:
    """The screen as HTML."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    plain = screen.replace("\x1b[39m\x1b[49m", "\x1b[0m").replace("\x1b[39m", "\x1b[0m")  # back to the terminal's own
    console.print(Text.from_ansi(plain), soft_wrap=True)
    return console.export_html(code_format=PAGE, theme=DARK)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m suites.report.terminal_pictures", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as temporary, Browser() as browser:
            for shot in SHOTS:
                folder = Path(temporary) / shot.name
                folder.mkdir()
                screen = taken(shot, folder)
                file = folder / "screen.html"
                file.write_text(page(screen, shot.columns), encoding="utf-8")
                browser.size(round(shot.columns * 8.43) + 40, round(len(screen.splitlines()) * 18.9) + 30)
                browser.open(file)
                browser.screenshot(options.output / f"{shot.name}.png")
                print(options.output / f"{shot.name}.png")
    except InputError as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
