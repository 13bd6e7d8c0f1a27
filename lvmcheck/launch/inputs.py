"""What a run has read, with digests of it: written beside a run when it ends, compared before the run is reused.

A file of up to 256 MB is compared byte by byte (by sha256); of a larger one its size, its time of change and 64 evenly
spaced blocks (:mod:`lvmcheck.launch.sights`). What cannot be known makes the run "not reusable", in one line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvmcheck.errors import InputError
from lvmcheck.launch import packages
from lvmcheck.launch.beyond import BEYOND
from lvmcheck.launch.key import file_digest
from lvmcheck.launch.looks import CONTENT, LOOKED, SIZED, TIMED, TIMES, VARIABLE, glance, other_surroundings
from lvmcheck.launch.sights import Sights, is_new, vanished
from lvmcheck.launch.sights import noted as noted
from lvmcheck.launch.sought import Sought, appeared
from lvmcheck.launch.stamps import PIPE, SMALL, digested, names_in, stamp
from lvmcheck.launch.stamps import content as content
from lvmcheck.run.directory import INFO, write_json
from lvmcheck.run.regular_file import read_json
from lvmcheck.run.seal import digest

INPUTS, RECORD, OPENED_FILES, MADE = "inputs.json", "inputs_json", "opened", "made"
"""The file, the key of ``run.json`` under which its sha256 is sealed, and the keys of what a gate compares and of what
appeared while the run went on and was read, and that nobody saw it write.
"""


# -- when a run ends ---------------------------------------------------------------------------------------------------
def write_inputs(folder: Path, root: Path, *, stated: bool, sought: Sought | None = None) -> str:
    """Write what the run in ``folder`` has read; returns the digest of that file.

    Args:
        root: the working directory of trainers.
        stated: whether the suite or the trainer's schema says what is read: then what was seen is the rest of it.
        sought: the modules that were looked for.
    """
    sights = Sights(folder, root)
    unknown = [*sights.problems(), *(() if stated else sights.unseen())]
    body = {
        "files": sights.files,
        "folders": sights.folders,
        "looked": sights.looked,
        "times": sights.times,
        "beyond": sights.beyond,
        "variables": sights.variables,
        "cores": sights.cores,
        "modules": {} if sought is None else sought.missing(),
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


# -- before a run is reused or continued -------------------------------------------------------------------------------
def changed(
    folder: Path, info: Mapping[str, Any], cache: Path, environment: Mapping[str, str] | None = None
) -> str | None:
    """Why the finished run in ``folder`` cannot be reused, in one line; None where it can.

    Args:
        info: its ``run.json``.
        cache: where digests of unchanged files are remembered.
        environment: that of the session; of this process by default.
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
    beyond = [(path, then) for path, seen in record.get("beyond", {}).items() for then in seen]
    for path, then in (*record.get("looked", {}).items(), *record.get("times", {}).items(), *beyond):
        if (now := glance(path, then, digested)) != then:
            if (kind := then.partition(":")[0]) in BEYOND:
                return f"{path}: its {kind} changed"
            return f"{path} is looked at: {_short(then)} then, {_short(now)} now"
    surroundings = record.get("variables", {}), record.get("cores", {})
    other = other_surroundings(*surroundings, os.environ if environment is None else environment)
    return other or appeared(record.get("modules", {})) or packages.changed(record["packages"])


def _short(seen: str) -> str:
    return "another content" if seen.startswith(CONTENT) else "other times" if seen.startswith(TIMES) else seen


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


def changed_since(folder: Path, root: Path, environment: Mapping[str, str] | None = None) -> str | None:
    """What was read by a run that did not end and has changed since then, so that it cannot be continued."""
    lines = list(noted(folder))
    written = {path for kind, path, *_ in lines if kind == "write"}
    start = min((int(what) for kind, what, *_ in lines if kind == "start"), default=0)
    variables = {name: then[0] for kind, name, *then in reversed(lines) if kind == VARIABLE}
    seen: set[str] = set()
    for kind, path, *then in lines:
        if kind == "write":
            seen.add(path)
        elif kind == "read" and path not in seen:
            seen.add(path)
            now = stamp(path)
            if now != tuple(then[:2]) and not vanished(path, now, root) and then[1] != PIPE:
                return f"{path} has changed"
        elif (
            kind in (LOOKED, SIZED, TIMED, *BEYOND)
            and then[0] != CONTENT
            and path not in written
            and not is_new(path, start)
        ):
            now_seen = glance(path, then[0], digested)
            if now_seen != then[0]:
                return f"{path} is looked at: {then[0]} then, {now_seen} now"
    return other_surroundings(variables, {}, os.environ if environment is None else environment)
