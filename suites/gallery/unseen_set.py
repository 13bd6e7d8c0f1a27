"""Records and judges a set with a manifest: ``python -m suites.gallery.SET FOLDER [--watch | --found] [NAME ...]``.

By default the curves alone are recorded; ``--watch`` has the loops call ``rec.watch``, ``--found`` records as a loop
that says nothing of its model, which is found and watched (programs with a history of their own call ``rec.watch``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suites.gallery.judge import Conclusion, conclude


def record(here: Path, row: dict[str, Any], folder: Path, how: str) -> Path:
    """The run of a program, trained in a process of its own where it is not there yet."""
    path = folder / row["name"]
    if not (path / "done.json").exists():
        command = [sys.executable, str(here / "programs" / row["program"]), str(path), *row["args"]]
        watch = how == "--watch" or (how == "--found" and not row.get("records", True))
        environment = os.environ if how == "--found" else {**os.environ, "LVMCHECK_WATCH": "0"}
        command += ["--watch"] if watch else []
        subprocess.run(command, env=environment, capture_output=True, check=False)
    return path


def right(row: dict[str, Any], found: Conclusion) -> bool:
    """Whether the first cause, or one that looks the same, is among those of the program."""
    return bool(found.named) and bool({found.named[0].name, *found.named[0].also} & set(row.get("causes", ())))


def main(here: Path, arguments: Sequence[str]) -> None:
    how = next((item for item in arguments if item in ("--watch", "--found")), "")
    folder, *names = [Path(item) for item in arguments if item != how]
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    count: Counter[tuple[str, str, str]] = Counter()
    for row in json.loads((here / "manifest.json").read_text()):
        if names and row["name"] not in map(str, names):
            continue
        found = conclude(record(here, row, folder, how))
        healthy, shown = row["kind"] == "healthy", row.get("watch_shows" if how else "curves_show")
        kind = "healthy" if healthy else "broken" if shown else "hidden"
        failed, warned, named = found.exit == 1, found.exit == 0 and bool(found.warned), right(row, found)
        marks = {"programs": 1, "failed": failed, "warned": warned, "right": named}
        count.update({(row["half"], kind, key): int(value) for key, value in marks.items()})
        if (kind == "broken" and not (failed and named)) or (healthy and (failed or warned)) or found.error:
            first = ", ".join((found.named[0].name, *found.named[0].also)) if found.named else ""
            print(
                f"{kind} {row['name']} ({row['what']}): failed {', '.join(found.failed)}; "
                f"warned {', '.join(found.warned)}; first {first} {found.error[:100]}"
            )
    for half in sorted({half for half, _, _ in count}):
        for kind in ("broken", "hidden", "healthy"):
            print(half, kind, {key: count[half, kind, key] for key in ("programs", "failed", "warned", "right")})
