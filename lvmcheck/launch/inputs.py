"""What a run has read, with digests of it: written beside a run when it ends, compared before the run is reused.

A file of up to :data:`WHOLE` bytes is compared byte by byte (by sha256); of a larger one its size, its time of change
and :data:`SAMPLES` evenly spaced blocks. What cannot be known makes the run "not reusable", in one line.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.launch import packages
from lvmcheck.launch.executed import COMPILED, OWN, executed
from lvmcheck.launch.key import file_digest
from lvmcheck.launch.opened import OPENED, PIPE, SYSTEM, beginnings, interpreter, names_in, no_state_of_git, stamp
from lvmcheck.run.directory import INFO, write_json
from lvmcheck.run.seal import digest
from lvmcheck.run.view import open_regular, read_json

INPUTS, RECORD, OPENED_FILES, MADE = "inputs.json", "inputs_json", "opened", "made"
"""The file, the key of ``run.json`` under which its sha256 is sealed, and the keys of what a gate compares and of what
appeared while the run went on and was read, and that nobody saw it write.
"""
WHOLE = 256 << 20
SAMPLES, BLOCK = 64, 64 << 10
SMALL = 1 << 20
MOST_LOG = 64 << 20
"""Bytes of what was noted that are read."""
BLIND = (
    *("pyarrow", "h5py", "polars", "duckdb", "lmdb", "cv2", "netCDF4", "soundfile", "torchcodec", "decord"),
    *("rasterio", "tables", "pysam", "sentencepiece", "safetensors", "tokenizers"),
)
"""Packages that open files in compiled code, where Python does not see it."""
SPAWNED = ("multiprocessing.popen_spawn_posix", "multiprocessing.popen_forkserver")
NO_TEXT, NUMBA = (f".egg-info{os.sep}", f".dist-info{os.sep}"), (".nbi", ".nbc")
"""Parts and ends of paths that a gate need not compare: what is installed where, and compiled functions."""
STATE = 'state what it reads: [run] inputs = ["data/*"], or input_files(config) in the trainer\'s schema'


# -- when a run ends ---------------------------------------------------------------------------------------------------
def write_inputs(folder: Path, root: Path, *, stated: bool) -> str:
    """Write what the run in ``folder`` has read; returns the digest of that file.

    Args:
        root: the working directory of trainers.
        stated: whether the suite or the trainer's schema says what is read: then what was seen is the rest of it.
    """
    sights = _Sights(folder, root)
    unknown = [*sights.problems(), *(() if stated else sights.unseen())]
    body = {
        "files": sights.files,
        "folders": sights.folders,
        "packages": packages.imported(),
        "unknown": unknown[:10],
        OPENED_FILES: sights.opened,
        MADE: sights.made,
    }
    write_json(folder / INPUTS, body)
    return digest(folder / INPUTS)


def opened_files(folder: Path) -> dict[str, str] | None:
    """Path -> sha256 of every file that a finished run has opened and not made; empty for one that has changed since.

    Returns:
        None where it was not noted, as for a run in pytest's own process.
    """
    record = _sealed(folder)
    return None if record is None else {str(path): str(it) for path, it in record.get(OPENED_FILES, {}).items()}


def made_files(folder: Path) -> list[str]:
    """Files that a finished run has read and that appeared while it went on, written by what it did not see."""
    return [str(path) for path in (_sealed(folder) or {}).get(MADE, [])]


def _sealed(folder: Path) -> dict[str, Any] | None:
    record, info = read_json(folder / INPUTS), read_json(folder / INFO)
    return record if info is not None and info.get(RECORD) == digest(folder / INPUTS) else None


def executed_texts(folder: Path) -> dict[str, str]:
    """Path -> hash of every file of which a text was executed (:mod:`lvmcheck.launch.texts`)."""
    return {path: str(rest[0]) for kind, path, *rest in noted(folder) if kind == "text" and rest}


class _Sights:
    """What was noted while a run went on, looked at again at its end."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.files: dict[str, Any] = {}
        self.folders: dict[str, str] = {}
        self.opened: dict[str, str] = {}
        self.made: list[str] = []
        self._longer: set[str] = set()
        self._first: dict[str, tuple[Any, ...]] = {}
        self._written: set[str] = set()
        self._others: list[tuple[str, str]] = []
        self._problems: list[str] = []
        self._root, self._start = root, time.time_ns()
        for kind, what, *rest in noted(folder):
            if kind in ("read", "folder"):
                self._first.setdefault(what, (kind, what in self._written, *rest))
            elif kind in ("write", "longer"):
                self._written.add(what)
                self._longer |= {what} if kind == "longer" else set()
            elif kind == "aside" and no_state_of_git(what):
                self.opened[what] = content(Path(what))
            elif kind == "beside":
                self.opened[f"{root}{os.sep}{what}"] = ""
            elif kind == "start":
                self._start = min(self._start, int(what))
            else:
                self._others.append((kind, str(what)))
        own = beginnings(OWN)  # of lvmcheck itself, the recorder is in the key
        for file in executed(root, outside=True):
            if file.startswith(own):
                continue
            self._first.setdefault(file, ("read", False, *stamp(file)))
        for file in mapped(root):
            self._first.setdefault(file, ("read", False, *stamp(file)))
        if "multiprocessing.popen_forkserver" in sys.modules:
            self.opened[f"{root}{os.sep}workers of a fork server"] = ""
        ended = time.time_ns()
        for path, (kind, own, *then) in self._first.items():
            if not own:
                self._take(path, kind, then)
            if kind == "read" and (not own or path in self._longer):
                self._open(path, then, ended)

    def _open(self, path: str, then: list[Any], ended: int) -> None:
        """What a gate compares with the commit: not what was made while the run went on."""
        if (then[0] is None and then[1] != PIPE) or any(mark in path for mark in (*COMPILED, *NO_TEXT)):
            return
        made = then[0] is not None and self._start <= int(then[1]) <= ended and path not in self._longer
        if made and path not in self._written:
            self.made.append(path)
        if not made and not path.endswith(NUMBA):
            self.opened[path] = content(Path(path)) if tuple(then) == stamp(path) else ""

    def _take(self, path: str, kind: str, then: list[Any]) -> None:
        if kind == "folder":
            if names_in(path) == then[0]:
                self.folders[path] = then[0]
            elif Path(path).is_dir():
                self._problems.append(f"the folder {path} changed while the run went on")
            return
        now, written = stamp(path), path in self._written
        if then[0] is None and then[1] == PIPE:
            self._problems.append(f"{path} is a pipe or a device: what it holds cannot be compared")
        elif then[0] is None:  # there was nothing to read
            if now[0] is not None and not written:
                self._problems.append(f"{path} appeared while the run went on")
            elif now[0] is None:
                self.files[path] = None
        elif tuple(then) == now:
            self.files[path] = [*now, content(Path(path))]
        elif not self._own(path, now, then):
            how = "was read and then written" if written else "changed while the run went on"
            self._problems.append(f"{path} {how}")

    def _own(self, path: str, now: tuple[Any, Any], then: list[Any]) -> bool:
        """Whether a file that differs now is none of the inputs: it came after the start, or was a temporary one."""
        return _vanished(path, now, self._root) or int(then[1]) > self._start

    def problems(self) -> Iterator[str]:
        """What makes the run not reusable whatever a suite states."""
        yield from self._problems
        yield from (f"it opened more than {what} files" for kind, what in self._others if kind == "many")

    def unseen(self) -> Iterator[str]:
        """What was read where nobody saw it."""
        says = {"process": "what the program {} reads", "host": "what {} sends"}
        for kind, what in self._others:
            if kind in says:
                yield f"{says[kind].format(what)} cannot be seen; {STATE}"
        for name in BLIND:
            if name in sys.modules:
                yield f"what {name} reads cannot be seen; {STATE}"
        if any(name in sys.modules for name in SPAWNED):
            yield f"what a worker process that was not forked reads cannot be seen; {STATE}"


def noted(folder: Path) -> Iterator[list[Any]]:
    """The lines of ``opened.jsonl``; one that a kill cut short is dropped."""
    try:
        with open_regular(folder / OPENED) as file:
            raw = file.read(MOST_LOG)
    except OSError:
        return
    for line in raw.splitlines():
        try:
            words = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(words, list) and len(words) > 1 and all(isinstance(word, str) for word in words[:2]):
            yield words
        elif isinstance(words, list) and words[:1] == ["many"]:
            yield ["many", str(words[1])]


def mapped(root: Path) -> Iterator[str]:
    """Files of no system folder that are mapped into this process: data that compiled code maps, and libraries."""
    installed = beginnings(OWN, *interpreter(root))
    skip = (*installed, *beginnings(*map(Path, SYSTEM)))
    try:
        lines = Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for path in dict.fromkeys(line[line.index("/") :] for line in lines if "/" in line):
        below = path.startswith(f"{root}{os.sep}") and not path.startswith(installed)
        if (below or not path.startswith(skip)) and not path.endswith(" (deleted)") and Path(path).is_file():
            yield path


def content(path: Path, whole: int = WHOLE) -> str:
    """sha256 of a file, or of samples of a large one; empty for what cannot be read."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            found = hashlib.sha256()
            if size <= whole:
                for _ in range(0, size + 1, SMALL):  # a file that grows is not followed
                    found.update(file.read(SMALL))
                return found.hexdigest()
            for number in range(SAMPLES):
                file.seek((size - BLOCK) * number // (SAMPLES - 1))
                found.update(file.read(BLOCK))
            return f"samples:{found.hexdigest()}"
    except OSError:
        return ""


def _vanished(path: str, now: tuple[Any, Any], root: Path) -> bool:
    """Whether it was a temporary file, or a compiled kernel, and is gone."""
    temporary = path.startswith(f"{tempfile.gettempdir()}{os.sep}") and not path.startswith(f"{root}{os.sep}")
    return now[0] is None and (temporary or any(mark in path for mark in COMPILED))


# -- before a run is reused or continued -------------------------------------------------------------------------------
def changed(folder: Path, info: Mapping[str, Any], cache: Path) -> str | None:
    """Why the finished run in ``folder`` cannot be reused, in one line; None where it can.

    Args:
        info: its ``run.json``.
        cache: where digests of unchanged files are remembered.
    """
    record = read_json(folder / INPUTS)
    if record is None or info.get(RECORD) != digest(folder / INPUTS):
        return "what it read was not recorded"
    if record["unknown"]:
        return str(record["unknown"][0])
    for path, then in record["files"].items():
        if (how := _differs(path, then, cache)) is not None:
            return f"{path} {how}"
    for path, then in record["folders"].items():
        if names_in(path) != then:
            return f"the files in {path} are not the same"
    return packages.changed(record["packages"])


def _differs(path: str, then: list[Any] | None, cache: Path) -> str | None:
    now = stamp(path)
    if then is None:
        return None if now[0] is None else "was not there"
    if now[0] is None:
        return f"was a file and is {now[1]}"
    if now[0] != then[0]:
        return f"has changed: {then[0]:,} bytes then, {now[0]:,} now"
    if then[2].startswith("samples:"):
        return None if now[1] == then[1] and content(Path(path)) == then[2] else "has changed"
    if then[0] <= SMALL:  # looked up in no cache
        return None if content(Path(path)) == then[2] else "has changed"
    try:
        return None if file_digest(Path(path), cache) == then[2] else "has changed"
    except InputError:
        return "cannot be read"


def changed_since(folder: Path, root: Path) -> str | None:
    """What was read by a run that did not end and has changed since then, so that it cannot be continued."""
    seen: set[str] = set()
    for kind, path, *then in noted(folder):
        if kind == "write":
            seen.add(path)
        elif kind == "read" and path not in seen:
            seen.add(path)
            now = stamp(path)
            if now != tuple(then) and not _vanished(path, now, root) and then[1] != PIPE:
                return f"{path} has changed"
    return None
