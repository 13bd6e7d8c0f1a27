"""The installed packages that a process has imported: their versions, and files that were edited after installing."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

SITES = tuple(dict.fromkeys(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")))


def imported(sites: Iterable[Path] = SITES) -> dict[str, dict[str, Any]]:
    """Distribution -> its version, its files that this process has imported, and the digest of their stamps."""
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
        for entry in found.values():
            entry.setdefault("stamps", stamps(site, entry["files"]))
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


def changed(known: Mapping[str, Mapping[str, Any]], sites: Sequence[Path] = SITES) -> str | None:
    """What differs from the packages of a run; None where nothing does.

    Sizes, times and numbers of the files are compared, whatever clock made them; where one differs, as after the same
    version was installed anew, the content counts: it must be what the distribution's RECORD says.

    Args:
        known: as :func:`imported` gives them.
    """
    for name, package in known.items():
        here = [info for site in sites for info in site.glob(f"{name}-*.dist-info")]
        versions = [info.name.removesuffix(".dist-info").removeprefix(f"{name}-") for info in here]
        if package["version"] not in versions:
            return f"package {name}: {package['version']} then, {versions[0] if versions else 'not installed'} now"
        info = here[versions.index(package["version"])]
        if stamps(info.parent, package["files"]) != package.get("stamps"):
            edited = _edited(info, package["files"])
            if edited is not None:
                return f"package {name}: {edited} was edited since"
    return None


def stamps(site: Path, files: Iterable[str]) -> str:
    """One digest of size, times and inode of each file: a changed content changes the second time."""
    found = hashlib.sha256()
    for file in files:
        try:
            now = os.stat(site / file)  # noqa: PTH116 - pathlib is slower, and there are thousands
            found.update(f"{file} {now.st_size} {now.st_mtime_ns} {now.st_ctime_ns} {now.st_ino}\n".encode())
        except OSError:
            found.update(f"{file} is not there\n".encode())
    return found.hexdigest()


def _edited(info: Path, files: Iterable[str]) -> str | None:
    """The first file that is not what was installed."""
    rows = csv.reader(_content(info / "RECORD").decode("utf-8", "replace").splitlines())
    installed = {row[0]: row[1] for row in rows if len(row) == 3}
    for file in files:
        raw = hashlib.sha256(_content(info.parent / file)).digest()
        if installed.get(file) != f"sha256={base64.urlsafe_b64encode(raw).decode().rstrip('=')}":
            return file
    return None
