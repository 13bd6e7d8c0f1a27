"""What the parent of a session believes of its report: a process in which no test, no conftest and no check has run.

For a session that a gate will judge. Code of the session may change everything in its own process, also what looks for
such changes there; it does not reach the process from which that was forked.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lvmcheck.launch.executed import OWN
from lvmcheck.launch.packages import SITES

LONGEST = 3600.0
"""Seconds that a session may ask for one look of a check."""
BEGINS = ("sitecustomize", "usercustomize")


class ParentJudge:
    """What the process is before the session begins.

    Args:
        root: of the session.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._start = root, Path.cwd()
        self._env, self._path = dict(os.environ), list(sys.path)
        self._judges = judges()

    def doubts(self, report: Path, path: Sequence[str], limit: float) -> list[str]:
        """Why a report is not believed.

        Args:
            path, limit: where the session looked for modules, and how long a check of the user's own may take.
        """
        from lvmcheck.pytest_plugin.judged_again import Judge
        from lvmcheck.report.machine import git

        if changed := sorted({*judges().items()} ^ {*self._judges.items()}):
            return [f"{changed[0][0]} was changed while the session ran, which is part of what judges"]
        judge = Judge(
            top=git.top(self._root) or self._root,
            start=self._start,
            env=self._env,
            path=[*self._path, *path],
            limit=min(limit, LONGEST),
        )
        try:
            body = json.loads(report.read_bytes())
            suites = () if body["troubles"] else body["suites"]  # a gate refuses the others
            return [f"{node}: {problem}" for node, problem in judge.disputes(suites)]
        except (OSError, ValueError, KeyError, TypeError) as problem:
            return [f"it cannot be read ({type(problem).__name__})"]


def judges() -> dict[str, tuple[int, int, int]]:
    """The files of lvmcheck, and of what Python runs before anything else, each with what a write to it changes."""
    files = [*OWN.rglob("*.py"), *(path for site in SITES for path in site.glob("*.pth"))]
    files += [path for site in SITES for name in BEGINS for path in site.glob(f"{name}*")]
    return {str(path): (it.st_ino, it.st_size, it.st_ctime_ns) for path in files if (it := path.stat())}
