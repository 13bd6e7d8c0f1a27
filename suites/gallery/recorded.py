"""Recorded programs of the gallery, kept below a folder until the code changes that makes them.

A program is trained once; what it reports goes to the recorder and, as plain rows, to a file that other tools are
given (:mod:`suites.gallery.peers`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from lvmcheck import Recorder
from lvmcheck.run.window import floats
from suites.gallery.program import Program, write

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".lvmcheck" / "gallery"
MAKERS = ("recorder", "window", "events", "directory", "values", "baselines", "start")
"""Modules of lvmcheck/run that decide what a recorder writes."""


@dataclass(frozen=True)
class Recording:
    """A run directory, and the rows that the program reported, one JSON object a line."""

    run: Path
    rows: Path


class Tap:
    """A recorder that also keeps each reported step and epoch as a row of plain numbers."""

    def __init__(self, rec: Recorder) -> None:
        self._rec = rec
        self.rows: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rec, name)

    def step(self, **figures: Any) -> None:
        self._rec.step(**figures)
        terms = {name: value for name, (_, value) in (figures.pop("terms", None) or {}).items()}
        figures.pop("samples", None)
        self._add("step", {**figures, **terms})

    def epoch(self, epoch: int, **metrics: Any) -> None:
        self._rec.epoch(epoch, **metrics)
        metrics.pop("samples_per_second", None)
        self._add("epoch", metrics, epoch)

    def log(self, metrics: Mapping[str, Any], *, step: int | None = None) -> None:
        self._rec.log(metrics, step=step)
        self._add("epoch", metrics)

    def evaluation(self, name: str, metrics: Mapping[str, Any], about: str = "") -> None:
        self._rec.evaluation(name, metrics, about)
        self._add("epoch", metrics)

    def _add(self, kind: str, figures: Mapping[str, Any], epoch: int | None = None) -> None:
        known = {name: value for name, value in figures.items() if value is not None}
        values = dict(zip(known, floats(list(known.values())), strict=True))
        self.rows.append({"kind": kind, "step": self._rec.steps, "epoch": epoch, "values": values})


def recording(half: str, program: Program, folder: Path = CACHE) -> Recording:
    """The program's recording in ``folder``; made where it is not there, or was made by other code."""
    place = folder / half / program.name / _key(half, program.task)
    found = Recording(place / program.name, place / "rows.jsonl")
    if found.rows.exists():
        return found
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".making-", dir=place.parent))
    _record(program, made)
    for outdated in place.parent.glob("[!.]*"):
        shutil.rmtree(outdated, ignore_errors=True)
    with contextlib.suppress(OSError):  # another process was faster
        made.replace(place)
    shutil.rmtree(made, ignore_errors=True)
    return found


def _record(program: Program, folder: Path) -> None:
    taps: list[Tap] = []

    def train(rec: Recorder) -> None:
        taps.append(Tap(rec))
        program.train(cast(Recorder, taps[0]))

    write(replace(program, train=train), folder)
    lines = [json.dumps(row) for tap in taps for row in tap.rows]
    (folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@cache
def _key(half: str, task: str) -> str:
    """A digest of the code that decides what a program of this task records."""
    here = Path(__file__).parent
    files = [Path(__file__), here / "program.py", here / half / f"{task}.py", *sorted((here / half).glob("_*.py"))]
    files += [ROOT / "lvmcheck" / "run" / f"{name}.py" for name in MAKERS]
    digest = hashlib.sha256(version("torch").encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
