"""Which modules a trainer's process looked for, and where in vain: a module that appears there takes their place."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lvmcheck.launch.packages import SITES

CODE = (".py", ".pyc", ".so", ".pyd")


class Sought:
    """A finder of modules that finds none and remembers what was looked for.

    Args:
        passed: beginnings of the paths of folders that are not looked at again.
    """

    def __init__(self, passed: tuple[str, ...]) -> None:
        self._passed = passed
        self._asked: dict[str, set[str]] = {}
        self._tops: set[str] = set()

    def watch(self) -> None:
        """From now on, in this process."""
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Sequence[str] | None = None, _target: Any = None) -> None:
        with contextlib.suppress(Exception):  # what is noted here must never disturb a trainer
            if path is None:
                self._tops.add(name)
            for entry in list(sys.path if path is None else path):
                whole = os.path.abspath(entry)  # noqa: PTH100 - pathlib is slower
                if not f"{whole}{os.sep}".startswith(self._passed):
                    self._asked.setdefault(whole, set()).add(name.rpartition(".")[2])

    def missing(self) -> dict[str, list[str]]:
        """Folder -> the modules that were looked for there and are not there; of installed ones those found nowhere."""
        nowhere = {name for name in self._tops if name not in sys.modules}
        asked = self._asked | {str(site): nowhere for site in SITES}
        return {entry: sorted(names - modules_in(entry, names)) for entry, names in asked.items() if names}


def modules_in(folder: str, names: Collection[str]) -> set[str]:
    """Which of the names are those of modules and packages in a folder."""
    try:
        listed = os.listdir(folder)  # noqa: PTH208 - quicker
    except OSError:
        return set()
    files = {name.partition(".")[0] for name in listed if name.endswith(CODE)}
    packages = {name for name in {*names}.intersection(listed) if (Path(folder) / name / "__init__.py").is_file()}
    return files.intersection(names) | packages


def appeared(missing: Mapping[str, Sequence[str]]) -> str | None:
    """The first module that was looked for in vain and is there now."""
    for folder, names in missing.items():
        new = sorted(modules_in(folder, names))
        if new:
            return f"the module {new[0]} has appeared in {folder}, where it was looked for"
    return None
