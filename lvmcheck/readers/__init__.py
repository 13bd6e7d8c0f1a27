"""Runs from elsewhere: one file a format, found by presence; the module's name is the kind.

A reader module defines ``reads(path) -> bool`` (a cheap look at the content that never raises and imports no optional
package) and ``read(path, asked) -> Run``.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from pathlib import Path
from typing import Protocol, cast

from lvmcheck.errors import InputError, nearest
from lvmcheck.readers._asked import Asked
from lvmcheck.readers._columns import parse_columns
from lvmcheck.readers._elsewhere import elsewhere
from lvmcheck.readers._files import head, inside
from lvmcheck.readers._what import refuse_irregular, unknown
from lvmcheck.run.view import Run

READERS = Path(__file__).parent
FIRST = "run_directory"
"""Knows its own for certain; a trainer's output folder may be one, too."""
LFS = b"version https://git-lfs"
ONE_RUN = ("run_directory", "hf_trainer_state")
LOGS, MANY = (".csv", ".tsv", ".json", ".jsonl", ".ndjson"), 200
"""Names of files in a folder that may be its log, and how many entries are looked at."""
LAST = "columns"
"""Reads any table, so it is asked only when no other reader knows the file."""


class Reader(Protocol):
    """What a module below this package offers."""

    def reads(self, path: Path) -> bool:
        """Whether the file or folder is of this kind, from a few bytes of it."""
        ...

    def read(self, path: Path, asked: Asked) -> Run:
        """The run; raises InputError for what cannot be used as it is."""
        ...


@cache
def kinds() -> list[str]:
    """Kinds of runs that can be read, from the file system alone; the one that reads any table is last."""
    found = sorted(path.stem for path in READERS.glob("*.py") if not path.stem.startswith("_"))
    return [kind for kind in found if kind != LAST] + [LAST]


def reader(kind: str) -> Reader:
    """The reader of that kind.

    Raises:
        InputError: there is none.
    """
    if kind not in kinds():
        raise InputError(f"kind {kind!r}", "no such kind of run", fix=nearest(kind, kinds()))
    return cast(Reader, importlib.import_module(f"{__name__}.{kind}"))


def open_run(
    path: str | os.PathLike[str], kind: str | None = None, columns: str | None = None, run: str | None = None
) -> Run:
    """The run that a file or folder holds, whoever wrote it.

    Args:
        path: a run directory, a history, a log directory, a database or a table; or the address of a run on a server,
            such as ``wandb:team/project/id``.
        kind: one of :func:`kinds`; found by a look at the content where it is not given.
        columns: a column map, such as ``"epoch=step,val_loss=validation/loss"``: our name = the file's name.
        run: which run, by id or name, where the file holds several.

    Raises:
        InputError: nothing is there, no reader knows it, several do, or its content cannot be used as it is.
    """
    place = Path(path)
    asked = Asked(columns=parse_columns(columns) if columns is not None else {}, run=run)
    remote = elsewhere(place) if kind is None else None
    if remote is not None:
        return remote(asked)
    refuse_irregular(place)
    if head(place, len(LFS)) == LFS:
        raise InputError(place, "is a git-lfs pointer, not the file itself", fix="Fetch it: git lfs pull.")
    if kind is None and place.is_dir() and not reader(FIRST).reads(place):
        place = _only_file(place)
    chosen = kind if kind is not None else detect(place)
    if run is not None and chosen in ONE_RUN:
        raise InputError("--run", f"{chosen} holds one run, so there is none to choose")
    return reader(chosen).read(place, asked)


def detect(path: Path) -> str:
    """The kind of run at ``path``.

    Raises:
        InputError: none or several.
    """
    if reader(FIRST).reads(path):
        return FIRST
    found = [kind for kind in kinds() if kind not in (FIRST, LAST) and reader(kind).reads(path)]
    if len(found) > 1:
        raise InputError(path, f"could be {' or '.join(found)}", fix="Say which: --kind NAME.")
    if found:
        return found[0]
    if reader(LAST).reads(path):
        return LAST
    raise unknown(path, kinds())


def _only_file(folder: Path) -> Path:
    """The one log in a folder that is no run by itself; the folder where it is one, or holds no log.

    Raises:
        InputError: several logs.
    """
    if any(reader(kind).reads(folder) for kind in kinds()):
        return folder
    found = [file for file in inside(folder, "*")[:MANY] if file.suffix in LOGS and _is_known(file)]
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")
        raise InputError(folder, f"expected one run, got {len(found)} logs: {names}", fix=f"Name one: {found[0]}.")
    return found[0] if found else folder


def _is_known(file: Path) -> bool:
    return any(reader(kind).reads(file) for kind in kinds())
