"""What was noted while a run went on, looked at again at its end: what it has read, and what cannot be known."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lvmcheck.launch.beyond import ATTRIBUTES, BEYOND, NONE, SIZES, files_in
from lvmcheck.launch.executed import COMPILED, OWN, executed
from lvmcheck.launch.looks import (
    CONTENT,
    CORES,
    FILE,
    FOLDER,
    LINK,
    LOOKED,
    NOTHING,
    SITES,
    SIZED,
    TIMED,
    VARIABLE,
    glance,
)
from lvmcheck.launch.opened import OPENED, SYSTEM, beginnings, interpreter
from lvmcheck.launch.stamps import PIPE, SMALL, content, digested, names_in, stamp, stamped
from lvmcheck.run.regular_file import open_regular

MOST_LOG = 64 << 20
"""Bytes of what was noted that are read."""
MOST_NAMES = 1000
"""Names in one folder that a gate compares."""
LISTED = "listed"
"""In place of a digest: a name in a folder that was listed, or a link that was looked at, whose content nobody read."""
BLIND = (
    *("pyarrow", "h5py", "polars", "duckdb", "lmdb", "cv2", "netCDF4", "soundfile", "torchcodec", "decord"),
    *("rasterio", "tables", "pysam", "sentencepiece", "safetensors", "tokenizers", "_gdbm", "_dbm", "plyvel"),
    *("xgboost", "lightgbm", "catboost", "faiss", "onnxruntime", "fasttext", "kenlm", "av", "SimpleITK", "osgeo"),
    *("openslide", "tensorstore", "ffcv", "rocksdict", "redis", "psycopg", "psycopg2", "pymongo", "pymysql"),
    *("asyncpg", "MySQLdb", "pyodbc", "oracledb"),
)
"""Packages that open files in compiled code, where Python does not see it, or ask a server of this machine."""
CALLS = re.compile(
    rb"\b(?:torch|\w*Storage)\.from_file\(|\bPyTorchFileReader\(|\btorchvision\.io\b|\btorchaudio\.load\("
)
"""Calls of the trainer's own code by which torch and its like open files in compiled code."""
SPAWNED = ("multiprocessing.popen_spawn_posix", "multiprocessing.popen_forkserver")
NO_TEXT, NUMBA = (f".egg-info{os.sep}", f".dist-info{os.sep}"), (".nbi", ".nbc")
"""Parts and ends of paths that a gate need not compare: what is installed where, and compiled functions."""
STATE = 'state what it reads: [run] inputs = ["data/*"], or input_files(config) in the trainer\'s schema'


STATES = re.compile(rb"(?:ref: refs/\S+|\^?[0-9a-f]{40,64}(?:\s+(?:refs/)?\S+)?|#[\w\s,:-]*)\s*")
"""Lines of ``.git/HEAD``, of a ref and of packed refs."""
STATE_OF_GIT = frozenset(("HEAD", "ORIG_HEAD", "config", "index", "refs", "packed-refs", "logs", "shallow"))


class Sights:
    """What was noted while a run went on, looked at again at its end."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.files: dict[str, Any] = {}
        self.folders: dict[str, str] = {}
        self.opened: dict[str, str] = {}
        self.made: list[str] = []
        self.looked: dict[str, str] = {}
        self.times: dict[str, str] = {}
        self.beyond: dict[str, list[str]] = {}
        self.variables: dict[str, str] = {}
        self.cores: dict[str, str] = {}
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
            elif kind in (LOOKED, SIZED):
                self.looked |= {what: str(rest[0])} if kind == SIZED or what not in self.looked else {}
            elif kind == TIMED:
                self.times.setdefault(what, str(rest[0]))
            elif kind in BEYOND:
                self.beyond.setdefault(what, []).append(str(rest[0]))
            elif kind in (VARIABLE, CORES):
                (self.variables if kind == VARIABLE else self.cores).setdefault(what, str(rest[0]))
            elif kind in ("aside", "asked") and (no_state_of_git(what) or (kind == "asked" and holds_more(what))):
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
            elif kind == "folder" and not own and then[-1] is True:  # by the trainer's own code
                self._show_names(path)
        self.looked = dict(self._still(self.looked))
        made = {path for path in self.times if path in self._written or is_new(path, self._start)}
        self.times = {path: then for path, then in self.times.items() if path not in made}
        self.beyond = {path: still for path, then in self.beyond.items() if (still := self._beyond(path, then))}

    def _still(self, looked: dict[str, str]) -> Iterator[tuple[str, str]]:
        """What was only looked at, is none of what the run has made, and looks as it did then."""
        for path, then in looked.items():
            if path in self._written or path in self.files or is_new(path, self._start):
                continue
            now = glance(path, then, digested)
            if then == CONTENT and now.startswith(CONTENT):
                yield path, now
            elif now == then:
                yield path, then
                if then.startswith(LINK) or then == FILE:
                    self._show(path, LISTED)
                elif then not in (NOTHING, FOLDER):
                    self._show(path, content(Path(path)))

    def _beyond(self, path: str, then: list[str]) -> list[str]:
        """What was seen beside content and names; a gate is shown what git does not hold."""
        still = [seen for seen in then if path not in self._written and glance(path, seen, digested) == seen]
        if any(seen.startswith(ATTRIBUTES) and seen != NONE for seen in still):
            self._show(f"{path}: {ATTRIBUTES}", "")
        if any(seen.startswith(SIZES) for seen in still):
            for place in files_in(path):
                self._show(place, content(Path(place)))
        return still

    def _show_names(self, folder: str) -> None:
        """Names in a folder that was listed: a gate asks whether the commit has them."""
        try:
            with os.scandir(folder) as entries:
                found = [entry for entry in entries if entry.name[0] != "." and entry.name != "__pycache__"]
        except OSError:
            return
        for entry in found[:MOST_NAMES]:
            if (
                entry.path not in self._written
                and entry.path not in self._first
                and not is_new(entry.path, self._start)
            ):
                self._show(entry.path, LISTED)

    def _show(self, path: str, what: str) -> None:
        """What a gate is to compare beside the files that were opened."""
        if not any(mark in f"{path}{os.sep}" for mark in (*COMPILED, *NO_TEXT)) and not path.startswith(SITES):
            self.opened[path] = what if self.opened.get(path) in (None, LISTED) else self.opened[path]

    def _open(self, path: str, then: list[Any], ended: int) -> None:
        """What a gate compares with the commit: not what was made while the run went on."""
        if (then[0] is None and then[1] != PIPE) or any(mark in path for mark in (*COMPILED, *NO_TEXT)):
            return
        if path.startswith(SITES):  # data of an installed package: no part of a commit
            return
        made = then[0] is not None and self._start <= int(then[1]) <= ended and path not in self._longer
        if made and path not in self._written:
            self.made.append(path)
        if not made and not path.endswith(NUMBA):
            self.opened[path] = content(Path(path)) if tuple(then[:2]) == stamp(path) else ""

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
        elif tuple(then[:2]) == now and len(then) > 2 and then[2] != stamped(path)[2] and not written:
            self._problems.append(f"{path} was touched while the run went on, and may have been another file meanwhile")
        elif tuple(then[:2]) == now:
            self.files[path] = [*now, content(Path(path))]
        elif not self._own(path, now, then):
            how = "was read and then written" if written else "changed while the run went on"
            self._problems.append(f"{path} {how}")

    def _own(self, path: str, now: tuple[Any, Any], then: list[Any]) -> bool:
        """Whether a file that differs now is none of the inputs: it came after the start, or was a temporary one."""
        return vanished(path, now, self._root) or int(then[1]) > self._start

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
        for file in executed(self._root, outside=False):
            if found := CALLS.search(read_bytes(file)):
                yield f"what {found[0].decode().rstrip('(')} reads cannot be seen; {STATE}"
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


def no_state_of_git(path: str) -> bool:
    """Whether a file in the folder of a repository is none of those that say where it stands."""
    _, found, below = path.rpartition(f"{os.sep}.git{os.sep}")
    return bool(found) and below.partition(os.sep)[0] not in STATE_OF_GIT


def holds_more(path: str) -> bool:
    """Whether a file that says where a repository stands holds something else than names of branches and commits."""
    return any(STATES.fullmatch(line) is None for line in read_bytes(path).splitlines())


def read_bytes(path: str) -> bytes:
    """The source of a module; empty for what cannot be read."""
    try:
        with open_regular(Path(path)) as file:
            return file.read(SMALL)
    except OSError:
        return b""


def is_new(path: str, start: int) -> bool:
    """Whether what is there came after the run had begun."""
    try:
        return os.lstat(path).st_mtime_ns >= start
    except OSError:
        return False


def vanished(path: str, now: tuple[Any, Any], root: Path) -> bool:
    """Whether it was a temporary file, or a compiled kernel, and is gone."""
    temporary = path.startswith(f"{tempfile.gettempdir()}{os.sep}") and not path.startswith(f"{root}{os.sep}")
    return now[0] is None and (temporary or any(mark in path for mark in COMPILED))
