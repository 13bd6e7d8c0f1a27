"""``python -m suites.data.print_gates`` writes what ``lvmcheck gate`` prints of twins into docs/gates.md."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path

from lvmcheck.commands.main import main
from models.data.gates import write

PAGE = Path(__file__).parents[2] / "docs" / "gates.md"
SIZE = ["--sequences", "3000", "--dim", "96"]
WHOLE = ("healthy --ood ood", "scrambled")
"""Commands whose whole output is shown; of the others what failed or could not be judged."""
BLOCK = re.compile(r"^\$ lvmcheck gate ([^\n]+)\n.*?(?=^\$ lvmcheck gate |^```)", re.M | re.S)


def twin(name: str, *more: str) -> None:
    """Writes a twin into the working directory."""
    with contextlib.redirect_stdout(io.StringIO()):
        write.main([name, *SIZE, *more])


def printed(command: str) -> str:
    """What the command prints; of a fault in its twin only lines that belong to a failure."""
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        main(["gate", *command.split()])
    lines = screen.getvalue().splitlines()
    if command not in WHOLE:
        marks = [line[0] if line[:1] in "✗!" else "" if line[:1] != " " else None for line in lines]
        kept, lines = False, [*lines]
        shown = []
        for line, mark in zip(lines, marks, strict=True):
            kept = bool(mark) if mark is not None else kept
            shown += [line] if kept else []
        lines = shown
    return "\n".join([f"$ lvmcheck gate {command}", *lines, ""])


def page() -> str:
    """The document with every screen as it is printed today."""
    text = PAGE.read_text(encoding="utf-8")
    commands = [found[1] for found in BLOCK.finditer(text)]
    twin("ood", "--ood")
    twin("ood_other", "--ood", "--broken", "other_encoder")
    for name in dict.fromkeys(command.split()[0].split("/")[0] for command in commands):
        twin(name, *(() if name == "healthy" else ("--broken", name)))
    return BLOCK.sub(lambda found: printed(found[1]), text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        PAGE.write_text(page(), encoding="utf-8")
