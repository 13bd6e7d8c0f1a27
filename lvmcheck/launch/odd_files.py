"""What in a run directory is no file where one belongs: reading it, or writing to it, could wait for ever."""

from __future__ import annotations

import stat
from itertools import islice
from pathlib import Path

from lvmcheck.launch.engines import _files as far
from lvmcheck.launch.guard import ENDED
from lvmcheck.launch.heartbeat import BEAT
from lvmcheck.launch.inputs import INPUTS
from lvmcheck.launch.opened import OPENED
from lvmcheck.launch.seen import SEEN
from lvmcheck.launch.stacks import STACKS
from lvmcheck.run import directory as rundir

FILES = frozenset(
    (
        *(rundir.INFO, rundir.EVENTS, rundir.OUTPUT, rundir.STOP, rundir.JUDGED, rundir.VERDICTS, rundir.DONE),
        *(rundir.FAILURE, ENDED, BEAT, INPUTS, OPENED, STACKS, SEEN),
        *(far.TASK, far.AWAITED, far.BEGUN, far.LEFT),
    )
)
"""Names of files that lvmcheck writes into a run directory."""
MOST = 100_000
"""Entries of a run directory that are looked at."""


def odd_file(folder: Path) -> str | None:
    """The first thing that is neither a file nor a folder, or one in place of the other; None where there is none."""
    for path in islice(folder.rglob("*"), MOST):
        name = str(path.relative_to(folder))
        try:
            mode = path.stat().st_mode
        except OSError as problem:
            return f"{name}: {problem.strerror or problem}"
        if name in FILES and not stat.S_ISREG(mode):
            return f"{name} is no regular file"
        if name == rundir.CHECKPOINTS and not stat.S_ISDIR(mode):
            return f"{name} is no folder"
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return f"{name} is neither a file nor a folder"
    return None
