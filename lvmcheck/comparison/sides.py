"""What is compared: a run and the repeats of it that lie beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.readers import open_run
from lvmcheck.run.alike import distinct
from lvmcheck.run.directory import EVENTS
from lvmcheck.run.view import Run
from lvmcheck.statistics.differences import factors

REPEATS = 64
"""Run directories beside a run that are looked at."""
ASIDE = ("seed", "threads")


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the run that was named, and finished repeats of it with other seeds, itself included,
    of which none is another once more.

    Attributes:
        name: as it was named. run: that run. repeats: at least one.
    """

    name: str
    run: Run
    repeats: tuple[Run, ...]

    @property
    def seeds(self) -> str:
        return ", ".join(f"seed{run.seed}" for run in self.repeats) if len(self.repeats) > 1 else "one run"


def side(name: str, *, alone: bool = False) -> Side:
    """The run at a path with its repeats.

    Raises:
        InputError: there is no run.
    """
    run = open_run(name)
    return Side(name, run, (run,) if alone else distinct(repeats(run)))


def repeats(run: Run) -> tuple[Run, ...]:
    """Finished runs beside this one of the same suite, profile, config and source, one a seed; itself where alone."""
    if run.path is None or not run.info.get("key"):
        return (run,)
    found = {run.seed: run}
    for folder in sorted(run.path.parent.iterdir())[:REPEATS]:
        other = _finished(folder)
        if other is not None and other.seed not in found and belongs(other, run):
            found[other.seed] = other
    return tuple(found[seed] for seed in sorted(found, key=lambda seed: (seed is None, seed)))


def belongs(other: Run, run: Run) -> bool:
    """Whether the other is a repeat: nothing but the seed differs."""
    same = all(other.info.get(key) == run.info.get(key) for key in ("suite", "profile", "source", "device"))
    return same and not factors(other.config, run.config, ignore=ASIDE)


def _finished(folder: Path) -> Run | None:
    if not (folder / EVENTS).is_file():
        return None
    try:
        found = open_run(folder, kind="run_directory")
    except InputError:
        return None
    return found if found.finished else None
