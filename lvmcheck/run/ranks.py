"""What the ranks of one run tell each other: small files beside the run, and never a collective of the user's job.

Rank 0 opens a session, ``ranks/session.json``. Every other rank appends what it measures to ``ranks/<rank>.jsonl``,
what it would record to ``ranks/<rank>.events.jsonl``, and says in ``ranks/<rank>.at`` at which step it is. Each names
the session that it belongs to, so that what an earlier launch left behind is not heard. A rank that cannot see the
folder of rank 0 (another machine without a shared disk) is not heard either.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lvmcheck.run.regular_file import open_regular, read_json

RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
"""Environment variables in which launchers state the rank of a process: torchrun, Open MPI, MPICH, SLURM."""
SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")
"""The same for the number of processes."""
LAUNCH = (
    *("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT"),
    *("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_STEP_ID", "PMIX_NAMESPACE"),
)
"""Variables that the ranks of one launch have in common; those of a job that was requeued are others."""
SKEW = 5.0
"""Seconds before the start of a rank's own process in which rank 0 of the same launch may have opened its session."""
FOLDER, SESSION, BEGUN = "ranks", "session.json", "begun.json"
MOST = 1 << 22
"""Bytes of a rank's file that are read."""
WAITING = 64
"""Lines that are kept until rank 0 has opened its session."""
PATIENCE = 2.0
"""Seconds that rank 0 waits at the end for what others measured at the same steps."""

STEP, NOWHERE = "step", ("", 0)
Figures = Mapping[str, Sequence[float]]
"""Name -> numbers that a rank measured at a step."""


def launch() -> str:
    """What tells this launch from others, for all of its ranks."""
    return "|".join(os.environ.get(name, "") for name in LAUNCH)


def _started() -> float:
    """When this process began, in seconds since 1970; without /proc, when this module was imported."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return time.time()


_STARTED = _started()


def rank() -> int:
    """The rank of this process among those that train one model; 0 for a single one."""
    return _stated(RANKS, "get_rank", 0)


def world() -> int:
    """How many processes train one model; 1 for a single one."""
    return _stated(SIZES, "get_world_size", 1)


def _stated(names: Sequence[str], ask: str, alone: int) -> int:
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(getattr(distributed, ask)())
    return int(next((os.environ[name] for name in names if os.environ.get(name, "").isdigit()), alone))


_MET: Counter[tuple[str, int]] = Counter()
"""How often each rank of this process has met the others at a place: a process may record several runs there."""


class Meeting:
    """What this rank tells the others, and, for rank 0, what it hears.

    Args:
        path: the run directory of rank 0.
        rank, size: of this process, and of all.
    """

    def __init__(self, path: Path, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.folder, self._session = path / FOLDER, ""
        if size > 1:
            place = str(path.absolute()), rank
            _MET[place] += 1
            self._number = _MET[place]
        self._waiting: list[dict[str, Any]] = []
        self._told: dict[tuple[str, int], dict[int, Figures]] = {}
        self._until: float | None = None
        self._read = [0] * size
        if rank == 0 and size > 1:
            self._open()

    def _open(self) -> None:
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            self.publish(SESSION, {"launch": launch(), "number": self._number, "time": time.time()}, uuid.uuid4().hex)
            self._session = self.session

    @property
    def session(self) -> str:
        """The session that rank 0 has opened for this launch; empty before, and where it cannot be seen."""
        body = read_json(self.folder / SESSION) or {}
        opened = body.get("time")
        ours = body.get("launch") == launch() and body.get("number") == self._number
        if not ours or not isinstance(opened, int | float) or opened < _STARTED - SKEW:
            return ""
        return str(body.get("session") or "")

    def publish(self, name: str, body: Mapping[str, Any], session: str | None = None) -> None:
        """A file beside the run that all ranks may read; one that is there is replaced as a whole."""
        place = self.folder / f".{name}.{self.rank}"
        with contextlib.suppress(OSError):
            place.write_text(json.dumps({**body, "session": self.session if session is None else session}))
            place.replace(self.folder / name)

    def read(self, name: str) -> dict[str, Any]:
        """What such a file of this session says; empty where there is none."""
        path = self.folder / name
        if self.size < 2 or not path.exists():
            return {}
        body = read_json(path) or {}
        return body if body.get("session") and body.get("session") == self.session else {}

    def tell(self, step: int, figures: Figures, topic: str = STEP) -> None:
        """What this rank measured at a step, on a topic."""
        if self.rank == 0:
            self._told.setdefault((topic, step), {})[0] = figures
            return
        line = {"step": step, "topic": topic, **{name: list(values) for name, values in figures.items()}}
        self._waiting = [*self._waiting, line][-WAITING:]
        session = self.session
        if session:
            lines = "".join(json.dumps({**line, "session": session}) + "\n" for line in self._waiting)
            with contextlib.suppress(OSError), (self.folder / f"{self.rank}.jsonl").open("a") as file:
                file.write(lines)
                self._waiting = []

    def heard(self, topic: str = STEP, *, last: bool = False) -> list[tuple[int, list[Figures]]]:
        """Steps, in order, of which every rank has told now, with the figures by rank.

        Args:
            last: nothing comes afterwards: wait a moment for ranks that were heard before.
        """
        if last and self._until is None:
            self._until = time.monotonic() + PATIENCE
        until = self._until if last and self._until is not None else 0.0
        found: list[tuple[int, list[Figures]]] = []
        while self.rank == 0 and self._session:
            for other in range(1, self.size):
                self._hear(other)
            mine = {step: told for (of, step), told in self._told.items() if of == topic}
            for step in sorted(step for step, told in mine.items() if len(told) == self.size):
                told = self._told.pop((topic, step))
                found.append((step, [told[rank] for rank in range(self.size)]))
            behind = any(0 in told and len(told) < self.size for told in mine.values()) and any(self._read)
            if not behind or time.monotonic() >= until:
                break
            time.sleep(0.02)
        return found

    def _hear(self, other: int) -> None:
        with contextlib.suppress(OSError), open_regular(self.folder / f"{other}.jsonl") as file:
            file.seek(self._read[other])
            raw = file.read(max(0, MOST - self._read[other]))
            whole = raw[: raw.rfind(b"\n") + 1]
            self._read[other] += len(whole)
            for line in whole.splitlines():
                place, figures = self._parsed(line)
                if figures:
                    self._told.setdefault(place, {})[other] = figures

    def _parsed(self, line: bytes) -> tuple[tuple[str, int], Figures]:
        """The figures of a line of this session; none where it is something else."""
        try:
            body = json.loads(line)
            if not isinstance(body, dict) or body.pop("session", None) != self._session:
                return NOWHERE, {}
            place = str(body.pop("topic", STEP)), int(body.pop("step"))
            figures = {str(name): [float(value) for value in values] for name, values in body.items()}
        except (ValueError, TypeError, KeyError, RecursionError):
            return NOWHERE, {}
        return place, figures if all(math.isfinite(v) for values in figures.values() for v in values) else {}
