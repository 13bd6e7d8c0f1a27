"""Runs with the planted faults of a suite's own training, each trained to its end and kept for the next time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lvmcheck.errors import InputError
from lvmcheck.run import directory as rundir
from lvmcheck.run.view import Run
from lvmcheck.selftest import record_faults
from lvmcheck.selftest.catalogue import faults
from lvmcheck.selftest.plan import EFFECT
from lvmcheck.selftest.subject import of_suite
from lvmcheck.selftest.training import Subject, Training
from lvmcheck.suite import Suite

LOOK = 0.05
FOLDER = "faults"
LONGER = 5.0
"""Times the unmodified run that a run with a fault may take."""


def planted_runs(
    suite: Suite,
    sound: Run,
    home: Path,
    *,
    minutes: float,
    jobs: int = 2,
    only: Sequence[str] | None = None,
    tell: Callable[[str], None],
) -> dict[str, Run]:
    """Fault -> the run that has it; those that took no effect, or for which there was no time, are told.

    Args:
        sound: the unmodified run, for faults of the record. minutes: after which no more is trained; 0 trains none.
        only: faults to train with; None for all.

    Raises:
        InputError: a suite of known failures, or a config that the trainer refuses.
    """
    subject = of_suite(suite, sound.seed, home)
    folder = home / FOLDER / suite.name / str(subject.info.get("key", suite.profile))[:16]
    changed = {fault.name: fault.change(sound) for fault in record_faults.FAULTS}
    found = {name: run for name, run in changed.items() if run is not None}
    names = list(faults() if only is None else only)
    kept, waiting = _kept(folder, names)
    found |= kept
    if minutes > 0 and waiting:
        limit = max(60.0, LONGER * float((sound.done or {}).get("seconds", 60.0)))
        tell(f"planting {len(waiting)} faults in {folder}, at most {minutes:g} minutes (--minutes)")
        found |= dict(_trained(subject, folder, waiting, limit, time.monotonic() + 60.0 * minutes, jobs))
        waiting = _kept(folder, names)[1]
    without = [name for name in names if name not in found and name not in waiting]
    if without:
        tell(f"took no effect in this training: {', '.join(without)}")
    if waiting:
        tell(f"not planted for want of time: {', '.join(waiting)} (--minutes)")
    return found


def _kept(folder: Path, names: Sequence[str]) -> tuple[dict[str, Run], list[str]]:
    """Runs with faults that were trained before, and the faults that nobody has tried to the end."""
    found, waiting = {}, []
    for name in names:
        place = folder / name
        if not (place / TRIED).exists():
            waiting.append(name)
        elif (place / EFFECT).exists():
            try:
                found[name] = rundir.load(place)
            except InputError:
                waiting.append(name)
    return found, waiting


TRIED = "tried.json"
"""In the folder of a fault: its training is over."""


def _trained(
    subject: Subject, folder: Path, names: list[str], limit: float, ends: float, jobs: int
) -> Iterator[tuple[str, Run]]:
    waiting, active = list(names), dict[str, Training]()
    try:
        while (waiting and time.monotonic() < ends) or active:
            while waiting and len(active) < jobs and time.monotonic() < ends:
                name = waiting.pop(0)
                shutil.rmtree(folder / name, ignore_errors=True)
                active[name] = Training(subject, folder / name, name, None, limit)
            for name, training in list(active.items()):
                training.look()
                if training.over:
                    del active[name]
                    rundir.write_json(training.folder / TRIED, {"planted": training.planted})
                    shutil.rmtree(training.folder / rundir.CHECKPOINTS, ignore_errors=True)
                    if training.planted:
                        yield name, training.run
            if time.monotonic() > ends + limit:
                return
            time.sleep(LOOK)
    finally:
        for training in active.values():
            training.end()
