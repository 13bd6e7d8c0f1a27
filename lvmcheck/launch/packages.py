"""The installed packages that a process has imported: their versions, and files that were edited after installing."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

SITES = tuple(dict.fromkeys(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")))


def imported(sites: Iterable[Path] = SITES) -> dict[str, dict[str, Any]]:
    """Distribution -> its version and its files that this process has imported, relative to where it is installed."""
    found: dict[str, dict[str, Any]] = {}
    for site in sites:
        files: dict[str, list[str]] = {}
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and file.startswith(f"{site}{os.sep}"):
                below = file[len(str(site)) + 1 :]
                files.setdefault(below.partition(os.sep)[0].partition(".")[0], []).append(below)
        for top, folder in _owners(site, files).items():
            name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
            entry = found.setdefault(name, {"version": version, "files": []})
            entry["files"] += sorted(files[top])
    return found


def _owners(site: Path, tops: Iterable[str]) -> dict[str, Path]:
    """Top-level name -> the metadata of the distribution that installed it."""
    infos = sorted(site.glob("*.dist-info"))
    by_name = {info.name.rpartition("-")[0].lower(): info for info in infos}
    found = {top: by_name[top.lower()] for top in tops if top.lower() in by_name}
    missing = [top for top in tops if top not in found]
    records = {info: b"\n" + _content(info / "RECORD") for info in infos} if missing else {}
    for top in missing:
        marks = tuple(f"\n{top}{end}".encode() for end in ("/", ".py,", "."))
        owner = next((info for info, text in records.items() if any(mark in text for mark in marks)), None)
        if owner is not None:
            found[top] = owner
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def changed(known: Mapping[str, Mapping[str, Any]], since: int, sites: Sequence[Path] = SITES) -> str | None:
    """What differs from the packages of a run; None where nothing does.

    Args:
        known: as :func:`imported` gives them.
        since: when the run ended, in nanoseconds: files of a package that are younger than it and than the package's
            own installation were edited.
    """
    for name, package in known.items():
        here = [info for site in sites for info in site.glob(f"{name}-*.dist-info")]
        versions = [info.name.removesuffix(".dist-info").removeprefix(f"{name}-") for info in here]
        if package["version"] not in versions:
            return f"package {name}: {package['version']} then, {versions[0] if versions else 'not installed'} now"
        info = here[versions.index(package["version"])]
        edited = _edited(info.parent, package["files"], max(since, _modified(info / "RECORD")))
        if edited is not None:
            return f"package {name}: {edited} was edited since"
    return None


def _edited(site: Path, files: Iterable[str], since: int) -> str | None:
    return next((file for file in files if _modified(site / file) > since), None)


def _modified(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - pathlib is slower, and there are thousands
    except OSError:
        return 0
