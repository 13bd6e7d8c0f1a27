"""Which source files decide a run, and their digest: part of the key under which a finished run is reused."""

from __future__ import annotations

import hashlib
import importlib.machinery
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

RECORDED_BY = ("baselines", "events", "recorder", "statements", "table", "values", "window")
RECORDER = tuple(f"run/{name}.py" for name in RECORDED_BY)
"""Files of lvmcheck itself that a trainer runs through; checks and reports do not decide what a run says."""

_FROM = re.compile(r"(?:^|[;:])[ \t]*from[ \t]+([^\W\d]\w*)", re.MULTILINE)
_IMPORT = re.compile(r"(?:^|[;:])[ \t]*import[ \t]+([^#\n;]+)", re.MULTILINE)


def source_digest(module: str) -> str:
    """sha256 over the trainer's local source: its whole package, and local modules that it imports, transitively."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted({*source_files(module), *(package / name for name in RECORDER)}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def source_files(module: str) -> set[Path]:
    """Every ``.py`` file that can decide what the trainer in ``module`` does, outside installed packages."""
    waiting, seen, files = [module.partition(".")[0]], {"lvmcheck"}, set[Path]()
    while waiting:
        name = waiting.pop()
        if name in seen or name in sys.stdlib_module_names:
            continue
        seen.add(name)
        for path in _local_files(name):
            files.add(path)
            waiting.extend(_imported(path))
    return files


def _local_files(name: str) -> list[Path]:
    """Files of the top-level module or package ``name``; none when it is installed or cannot be found."""
    spec = importlib.machinery.PathFinder.find_spec(name)
    if spec is None:
        return []
    if spec.submodule_search_locations:
        roots = [Path(place) for place in spec.submodule_search_locations if not _is_installed(Path(place))]
        files = [path for root in roots for path in sorted(root.rglob("*.py"))]
    else:
        files = [Path(spec.origin)] if spec.origin and spec.origin.endswith(".py") else []
    return [path for path in files if not _is_installed(path)]


@cache
def _installed() -> tuple[str, ...]:
    """Folders of installed packages, each with a separator at its end."""
    places = (os.path.realpath(sysconfig.get_path(kind)) for kind in ("purelib", "platlib", "stdlib"))
    return tuple(dict.fromkeys(f"{place}{os.sep}" for place in places))


def _is_installed(path: Path) -> bool:
    return os.path.realpath(path).startswith(_installed())


def _imported(path: Path) -> Iterator[str]:
    """Top-level names that a file may import, wherever in the file; a sentence that looks like one does no harm.

    Read as text: ``ast.parse`` in two threads at once fails in CPython 3.11 ("recursion depth mismatch"), and pytest
    itself parses tests while runs are being prepared.
    """
    text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    yield from _FROM.findall(text)
    for names in _IMPORT.findall(text):
        yield from (words[0].partition(".")[0] for part in names.split(",") if (words := part.split()))
