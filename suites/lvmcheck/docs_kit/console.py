"""Runs the commands of a page as a reader would, in order and in one folder, and compares what they print.

A fenced block ``console`` holds commands (``$ ...``, going on with ``> ...``) and below each what it prints. ``...``
stands for any lines, at the end of a line for the rest of it. A command below which nothing stands must succeed. A
block ``python`` that begins with ``# name.py`` is saved under that name.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LIMIT = 240.0
"""Seconds that a command may take."""
VOLATILE = (
    (r"-[0-9a-f]{8}\b", "-KEY"),  # of a run, which holds the source of everything that decides it
    (r"\b[0-9a-f]{7,40}\b", "SHA"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ by \S+:", "WHEN by WHOM:"),
    (r"python 3\.\d+\.\d+", "python 3"),
    (r"\bin \d[\d.]*s( \([\d:]+\))?", "in TIME"),
    (r"\d+ (min \d+ )?s of compute", "TIME of compute"),
    (r"\d[\d.]* times A's samples", "X times A's samples"),
    (r"([=_-])\1{3,}", r"\1"),  # rules of pytest, whose width depends on the rest
)


@dataclass(frozen=True)
class Step:
    """A command, and the lines that it is said to print."""

    command: str
    expected: tuple[str, ...]


def steps(page: Path) -> list[Step]:
    """The commands of a page, in order."""
    found: list[Step] = []
    text = page.read_text(encoding="utf-8")
    for kind, block in re.findall(r"^```(console|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        name = re.match(r"# (\w+\.py)\n", block)
        if kind == "python" and name is not None:
            found.append(Step(f"cat > {name[1]} <<'END'\n{block}END", ()))
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:] if kind == "console" else ():
            lines = part.rstrip("\n").split("\n")
            more = next((i for i, line in enumerate(lines[1:], 1) if not line.startswith(">")), len(lines))
            command = "\n".join([lines[0], *(line[1:].removeprefix(" ") for line in lines[1:more])])
            found.append(Step(command, tuple(lines[more:])))
    return found


def run(command: str, folder: Path, *, bin: Path | None = None) -> tuple[int, str]:
    """Exit code and everything printed; ``bin`` holds the programs of another environment than this one."""
    hidden = {"CI", "PYTEST_ADDOPTS", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "PYTEST_CURRENT_TEST"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    environment |= {
        "PATH": os.pathsep.join((str(bin or Path(sys.executable).parent), os.environ["PATH"])),
        "COLUMNS": "110",
        "NO_COLOR": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return done.returncode, done.stdout


def differs(expected: tuple[str, ...], printed: str) -> str | None:
    """The first line of the page that was not printed where it should be, or None."""
    got = [plain(line) for line in printed.rstrip("\n").split("\n")]
    at, skipping = 0, False
    for line in expected:
        if line.strip() == "...":
            skipping = True
            continue
        hits = [i for i in range(at, len(got)) if fits(plain(line), got[i])]
        if not hits or (not skipping and hits[0] != at):
            return f"{line!r} is not printed after line {at} of:\n{printed}"
        at, skipping = hits[0] + 1, False
    return None if skipping or at == len(got) else f"the page does not show {got[at]!r}"


def fits(wanted: str, got: str) -> bool:
    return got.startswith(wanted.removesuffix("...").rstrip()) if wanted.endswith("...") else got == wanted


def plain(line: str) -> str:
    """The line without what differs from machine to machine and run to run."""
    for pattern, word in VOLATILE:
        line = re.sub(pattern, word, line)
    return " ".join(line.split())


def failures(page: Path, folder: Path) -> Iterator[str]:
    """What a reader would see go wrong; the commands go on after it."""
    for step in steps(page):
        code, printed = run(step.command, folder)
        unsaid = f"exit code {code}:\n{printed}" if code else None
        wrong = differs(step.expected, printed) if step.expected else unsaid
        if wrong is not None:
            yield f"$ {step.command}\n{wrong}"
