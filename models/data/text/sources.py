"""Where the records of each data set are: files by name in a folder, files of your own, or the hub."""

from __future__ import annotations

from pathlib import Path

from lvmcheck.errors import InputError, nearest
from models.data.readers.kind import folder_names, is_folder
from models.data.text.config import QA, SUFFIXES, TextConfig
from models.data.text.files import rows
from models.data.text.hub import read_hub
from models.data.text.records import Record
from models.data.text.rows import name_of, records_of


def read_sets(config: TextConfig) -> list[Record]:
    """All records of the sets that the configuration asks for.

    Raises:
        InputError: a set is not there, holds no record, or a file is bad. Nothing is ever left out in silence.
    """
    if config.source == "hub":
        return [record for name in config.sets or QA for record in read_hub(name)]
    path = Path(config.path)
    if config.source == "qa":
        return [record for name in config.sets or QA for record in read_set(path, name)]
    return _own(path, config.sets)


def read_set(folder: Path, name: str) -> list[Record]:
    """The records of one of the six sets.

    Raises:
        InputError: it is not in the folder; the error says what is.
    """
    if not is_folder(folder):
        problem = "not a folder" if folder.exists() else "not found"
        raise InputError(folder, f"{problem}; expected a folder with {name}{SUFFIXES[0]}", key="run.data.path")
    names = folder_names(folder)
    path = next((folder / f"{name}{suffix}" for suffix in SUFFIXES if f"{name}{suffix}" in names), None)
    if path is None:
        held = ", ".join(_stem(found) for found in names if found.endswith(SUFFIXES)) or "no data set"
        files = ", ".join(f"{name}{suffix}" for suffix in SUFFIXES)
        problem = f"data set {name!r} is missing: none of {files} is here; the folder holds {held}"
        raise InputError(folder, problem, key="run.data.sets", fix="Add the file, or name the sets that you have.")
    return records_of(((name, number, row) for number, row in rows(path)), path)


def _own(place: Path, wanted: list[str]) -> list[Record]:
    """Records of a user's file, or of all data files in a folder, restricted to the ``wanted`` sets."""
    paths = [place]
    if is_folder(place):
        paths = [place / name for name in folder_names(place) if name.endswith(SUFFIXES)]
        if not paths:
            raise InputError(place, f"holds no file that ends in {', '.join(SUFFIXES)}", key="run.data.path")
    records = []
    for path in paths:
        named = ((name_of(row, _stem(path.name), path, number), number, row) for number, row in rows(path))
        records += records_of(named, path)
    there = {record.dataset for record in records}
    for name in wanted:
        if name not in there:
            problem = f"data set {name!r} is missing; the files hold {', '.join(sorted(there))}"
            raise InputError(place, problem, key="run.data.sets", fix=nearest(name, there))
    return [record for record in records if not wanted or record.dataset in wanted]


def _stem(name: str) -> str:
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
