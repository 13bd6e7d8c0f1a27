"""The folder of runs, caches and locks (``--lvm-dir``), which git does not see."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

USUAL = ".lvmcheck"
IGNORED = "# Written by lvmcheck: runs are no part of a repository.\n*\n"


def make_home(home: Path) -> None:
    """Makes the folder with a ``.gitignore`` of its own; in a folder of somebody else's, none is written.

    A place that cannot be written is reported when a run directory is made.
    """
    own = home.name == USUAL or not home.exists()
    with suppress(OSError):
        home.mkdir(parents=True, exist_ok=True)
        if own and not (home / ".gitignore").exists():
            (home / ".gitignore").write_text(IGNORED, encoding="utf-8")
