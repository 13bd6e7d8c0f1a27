"""A place to train: a lock over all sessions of a home, and what the trainer is told of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from lvmcheck.launch.locks import try_lock


@dataclass(frozen=True)
class Place:
    """Held until it is released, or its process ends.

    Args:
        environment: variables of the trainer, such as the device that is its own.
    """

    lock: FileLock
    environment: Mapping[str, str] = field(default_factory=dict)

    def release(self) -> None:
        self.lock.release()


def first_free(folder: Path, names: Iterable[str], environments: Iterable[Mapping[str, str]]) -> Place | None:
    """The first place that nobody holds; None where all are held."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, environment in zip(names, environments, strict=False):
        lock = try_lock(folder / f"{name}.lock")
        if lock is not None:
            return Place(lock, environment)
    return None
