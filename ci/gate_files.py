"""What the gate reads: JSON reports, which must be whole and as written, and its own requirements and waivers."""

from __future__ import annotations

import datetime
import difflib
import hashlib
import json
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gate_finding import LOOSENINGS, Reason, Refused, Unusable
from gate_git import Tree
from gate_shape import FORMAT, Table, shaped
from gate_sign import signed

MAX_BYTES, MAX_TOML = 16 << 20, 1 << 20
ASKED = {"file": str, "profile": str, "device": str, "seeds": int, "checks": int}
MAY = {"asks": list, "may_not_apply": list, "fresh": bool, "samples_per_second": list, "free": list, "selftest": float}
WAIVER = {"suite": str, "check": str, "reason": str, "owner": str, "expires": datetime.date}
LOOSENING = {"code": str, "subject": str, "got": str, "reason": str, "owner": str, "expires": datetime.date}


def read_bounded(path: Path, most: int) -> bytes:
    """The content of a regular file: what is a pipe, a device or a folder is refused without being read.

    Raises:
        Refused: it is none, or is too large.
        OSError: it cannot be opened.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        mode = os.fstat(number).st_mode
        if not stat.S_ISREG(mode):
            raise Refused(Reason("not_a_file", str(path), got=stat.filemode(mode)))
        raw = file.read(most + 1)
    if len(raw) > most:
        raise Refused(Reason("too_large", str(path), f"{most >> 20} MB"))
    return raw


def read_report(path: Path, key: bytes | None = None) -> Table:
    """The content of a report that is whole, of this format, of the expected shape, and signed where there is a key."""
    try:
        raw = read_bounded(path, MAX_BYTES)
    except OSError as problem:
        raise Refused(Reason("no_report", str(path), got=problem.strerror)) from None
    signed(path, raw, key)
    try:
        body = json.loads(raw, object_pairs_hook=unique, parse_constant=no_constant)
        if not isinstance(body, dict) or type(body.get("format")) is not int or body["format"] != FORMAT:
            got = body.get("format") if isinstance(body, dict) else type(body).__name__
            raise Refused(Reason("other_format", str(path), FORMAT, str(got)[:40]))
        digest = body.pop("digest", None)
        content = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as problem:
        raise Refused(Reason("not_json", str(path), got=str(problem)[:100])) from None
    if digest != hashlib.sha256(content).hexdigest():
        raise Refused(Reason("digest_differs", str(path)))
    if body.get("ended") is None:
        raise Refused(Reason("not_finished", str(path), got=str(body.get("status"))[:40]))
    return shaped(str(path), body)


def unique(pairs: list[tuple[str, Any]]) -> Table:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key stands there twice")
    return table


def no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def read_toml(path: Path, tree: Tree | None = None, tracked: str | None = None) -> Table:
    """A TOML file: as the tree has it where it is ``tracked`` there, else from the disk."""
    try:
        if tree is not None and tracked is not None:
            raw = tree.read(tracked)
            if raw is None:
                raise Unusable(f"{path}: the base branch has no such file")
        else:
            raw = read_bounded(path, MAX_TOML)
        return tomllib.loads(raw.decode())
    except OSError as problem:
        raise Unusable(f"{path}: cannot be read: {problem.strerror}") from None
    except (ValueError, RecursionError, Refused) as problem:
        raise Unusable(str(problem) if isinstance(problem, Refused) else f"{path}: {problem}") from None


def entry(path: Path, where: str, table: object, needed: Mapping[str, type], may: Mapping[str, type]) -> Table:
    """One table of a TOML file, with every needed key and no unknown one."""
    known = {**needed, **may}
    if not isinstance(table, dict):
        raise Unusable(f"{path}: {where}: expected a table, got {table!r}")
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1) or sorted(known)
            raise Unusable(f"{path}: {where}.{key}: unknown key. Known: {', '.join(near)}.")
        if type(value) is not known[key] or (isinstance(value, str) and not value.strip()):
            raise Unusable(f"{path}: {where}.{key}: expected {known[key].__name__}, got {value!r}")
    for key in needed:
        if key not in table:
            raise Unusable(f"{path}: {where}: {key} is missing")
    return table


def read_rules(path: Path, tree: Tree | None = None, tracked: str | None = None) -> Table:
    """Requirements: [gate] and one [[suite]] for every suite that must have passed."""
    return rules_of(path, read_toml(path, tree, tracked))


def rules_of(path: Path, body: Table) -> Table:
    if unknown := sorted(set(body) - {"gate", "suite"}):
        raise Unusable(f"{path}: {unknown[0]}: unknown key. Known: gate, suite.")
    limits = {"max_age_hours": int, "max_waiver_days": int, "protected": list, "opens": list, "selftest": float}
    gate = {
        "max_age_hours": 24,
        "max_waiver_days": 90,
        "protected": [],
        "opens": [],
        "selftest": 0.0,
        **entry(path, "gate", body.get("gate", {}), {}, limits),
    }
    suites = body.get("suite", [])
    if not isinstance(suites, list) or not suites:
        raise Unusable(f"{path}: suite: expected at least one [[suite]]: a gate that asks for nothing is none")
    for where, table in (("gate", gate), *((f"suite[{n}]", s) for n, s in enumerate(suites) if isinstance(s, dict))):
        if type(share := table.get("selftest", 0.0)) is float and not 0.0 <= share <= 1.0:
            raise Unusable(f"{path}: {where}.selftest: expected a share from 0.0 to 1.0, got {share}")
    for number, suite in enumerate(suites):
        entry(path, f"suite[{number}]", suite, ASKED, MAY)
        if suite["seeds"] < 1 or suite["checks"] < 1:
            raise Unusable(f"{path}: suite[{number}]: expected at least one seed and one check")
        band = suite.get("samples_per_second", [0, 0])
        if len(band) != 2 or not all(type(end) in (int, float) and end >= 0 for end in band) or band[0] > band[1]:
            raise Unusable(f"{path}: suite[{number}].samples_per_second: expected [least, most], got {band}")
    return {**gate, "suite": suites}


def read_waivers(path: Path | None, tree: Tree | None = None, tracked: str | None = None) -> list[Table]:
    """[[waiver]] for failures and [[loosening]] for what a change asks less of."""
    if path is None or (tree is not None and tracked is not None and tracked not in tree.entries):
        return []
    body = read_toml(path, tree, tracked)
    if unknown := sorted(set(body) - {"waiver", "loosening"}):
        raise Unusable(f"{path}: {unknown[0]}: unknown key. Known: loosening, waiver.")
    found = []
    for name, needed, may in (("waiver", WAIVER, {"seed": int}), ("loosening", LOOSENING, {})):
        tables = body.get(name, [])
        if not isinstance(tables, list):
            raise Unusable(f"{path}: {name}: expected [[{name}]]")
        found += [entry(path, f"{name}[{n}]", item, needed, may) for n, item in enumerate(tables)]
    for item in found:
        if "code" in item and item["code"] not in LOOSENINGS:
            raise Unusable(f"{path}: loosening.code: expected one of {', '.join(sorted(LOOSENINGS))}")
    return found
