"""The checkout as git sees it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lvmcheck.report.machine.session import Git

SHOWN = 20
LIMIT = 20.0
"""Seconds that git may take; a report is written without it then, which a gate refuses."""


def look(folder: Path) -> Git | None:
    """Commit and changes of the checkout that holds ``folder``; None outside a repository or without git."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD^{commit}")
    status = _git(folder, "status", "--porcelain=v1", "-z", "--untracked-files=normal")
    if commit is None or status is None:
        return None
    changed = [entry[3:] for entry in status.split("\0") if entry[2:3] == " "]
    return Git(commit=commit.strip(), dirty=bool(changed), changed=tuple(changed[:SHOWN]))


def top(folder: Path) -> Path | None:
    """The root of the checkout."""
    output = _git(folder, "rev-parse", "--show-toplevel")
    return Path(output.rstrip("\n")) if output else None


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, errors="replace", timeout=LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
