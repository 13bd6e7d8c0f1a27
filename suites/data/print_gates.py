"""``python -m suites.data.print_gates`` writes what ``lvmcheck gate`` prints of twins into docs/gates.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gates.md"
SIZE = ["--sequences", "3000", "--dim", "96"]
WHOLE = ("healthy --ood ood", "scrambled")
"""Commands whose whole output is shown; of the others what failed or could not be judged."""
BLOCK = re.compile(r"^\$ lvmcheck gate ([^\n]+)\n.*?(?=^\$ lvmcheck gate |^```)", re.M | re.S)


def called(folder: Path, *words: str) -> str:
    """What a module prints, from a folder of twins."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True)
    return done.stdout


def twin(folder: Path, name: str, *more: str) -> None:
    """Writes a twin into the folder."""
    called(folder, "models.data.gates.write", name, *SIZE, *more)


def printed(folder: Path, command: str) -> str:
    """What the command prints; of a fault in its twin only lines that belong to a failure."""
    lines = called(folder, "lvmcheck", "gate", *command.split()).splitlines()
    if command not in WHOLE:
        marks = [line[0] if line[:1] in "✗!" else "" if line[:1] != " " else None for line in lines]
        kept, lines = False, [*lines]
        shown = []
        for line, mark in zip(lines, marks, strict=True):
            kept = bool(mark) if mark is not None else kept
            shown += [line] if kept else []
        lines = shown
    return "\n".join([f"$ lvmcheck gate {command}", *lines, ""])


def page(folder: Path) -> str:
    """The document with every screen as it is printed today."""
    text = PAGE.read_text(encoding="utf-8")
    commands = [found[1] for found in BLOCK.finditer(text)]
    twin(folder, "ood", "--ood")
    twin(folder, "ood_other", "--ood", "--broken", "other_encoder")
    for name in dict.fromkeys(command.split()[0].split("/")[0] for command in commands):
        twin(folder, name, *(() if name == "healthy" else ("--broken", name)))
    return BLOCK.sub(lambda found: printed(folder, found[1]), text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(page(Path(folder)), encoding="utf-8")
