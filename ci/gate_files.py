"""What the gate reads: JSON reports, which must be whole and as written, and its own requirements and waivers."""

from __future__ import annotations

import datetime
import difflib
import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT, MAX_BYTES = 2, 64 << 20
Table = dict[str, Any]

REPORT = {"status": str, "exit_status": int, "started": str, "ended": str, "tests": dict}
REPORT |= {"troubles": list, "suites": list, "lvmcheck": str}
TESTS = {"collected": int, "deselected": int, "passed": int, "failed": int, "errors": int, "skipped": int}
SUITE = {"name": str, "file": str, "digest": str, "profile": str, "device": str, "sequential": bool}
SUITE |= {"seeds": list, "overridden": list, "runs": list, "checks": list}
RUN = {"seed": int, "required_key": str, "own": bool, "status": str, "ended": str, "last_epoch": int}
CHECK = {"verdict": dict, "node": str, "pytest": str, "attempts": int}
VERDICT = {"name": str, "check": str, "outcome": dict, "expected_failure": bool, "message": str}
OUTCOME = {"status": str, "reason": str, "evaluated": int, "abort": bool}
FINDING = {"code": str, "bounds": list}
BOUND = {"kind": str}
ASKED = {"file": str, "profile": str, "device": str, "seeds": int, "checks": int}
MAY = {"asks": list, "may_not_apply": list, "fresh": bool, "samples_per_second": list}
WAIVER = {"suite": str, "check": str, "reason": str, "owner": str, "expires": datetime.date}


class Refused(Exception):  # noqa: N818 - it is the answer, not a failure of this script
    """A report that cannot be believed, whatever it says."""


class Unusable(Exception):  # noqa: N818 - as above
    """Requirements or waivers that cannot be used."""


def read_report(path: Path) -> Table:
    """The content of a report that is whole, of this format, and of the expected shape."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise Refused(f"{path}: no report: {problem.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise Refused(f"{path}: larger than {MAX_BYTES >> 20} MB")
    try:
        body = json.loads(raw, object_pairs_hook=unique, parse_constant=no_constant)
        if not isinstance(body, dict) or type(body.get("format")) is not int or body["format"] != FORMAT:
            got = body.get("format") if isinstance(body, dict) else type(body).__name__
            raise Refused(f"{path}: expected a report of format {FORMAT}, got {str(got)[:40]!r}")
        digest = body.pop("digest", None)
        content = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as problem:
        raise Refused(f"{path}: not a JSON report: {str(problem)[:100]}") from None
    if digest != hashlib.sha256(content).hexdigest():
        raise Refused(f"{path}: its content does not match its digest: it was edited or is not whole")
    if body.get("ended") is None:
        raise Refused(f"{path}: the session did not finish (status {body.get('status')!r})")
    return shaped(path, body)


def shaped(path: Path, body: Table) -> Table:
    fits(body, REPORT, f"{path}: report")
    fits(body["tests"], TESTS, f"{path}: tests")
    for suite in body["suites"]:
        fits(suite, SUITE, f"{path}: suite")
        for number, run in enumerate(suite["runs"]):
            fits(run, RUN, f"{path}: {suite['file']}: runs[{number}]")
        for number, check in enumerate(suite["checks"]):
            fits_check(check, f"{path}: {suite['file']}: checks[{number}]")
        if not all(type(seed) is int for seed in suite["seeds"]):
            raise Refused(f"{path}: {suite['file']}: seeds: got {str(suite['seeds'])[:40]}")
    return body


def fits_check(check: Table, where: str) -> None:
    """A check with its verdict, down to the bounds of its finding."""
    fits(check, CHECK, where)
    verdict = check["verdict"]
    fits(verdict, VERDICT, f"{where}.verdict")
    fits(verdict["outcome"], OUTCOME, f"{where}.verdict.outcome")
    seed, finding = verdict.get("seed"), verdict["outcome"].get("finding")
    if not (type(seed) is int or seed == "seeds"):
        raise Refused(f"{where}.verdict.seed: got {str(seed)[:40]!r}")
    if finding is not None:
        fits(finding, FINDING, f"{where}.verdict.outcome.finding")
        if not (finding.get("epoch") is None or type(finding["epoch"]) is int):
            raise Refused(f"{where}.verdict.outcome.finding.epoch: got {str(finding['epoch'])[:40]!r}")
        for number, bound in enumerate(finding["bounds"]):
            fits(bound, BOUND, f"{where}.verdict.outcome.finding.bounds[{number}]")


def fits(table: object, shape: Mapping[str, type], where: str) -> None:
    if not isinstance(table, dict):
        raise Refused(f"{where}: expected an object, got {type(table).__name__}")
    for key, kind in shape.items():
        if type(table.get(key)) is not kind:
            raise Refused(f"{where}.{key}: expected {kind.__name__}, got {str(table.get(key))[:40]!r}")


def unique(pairs: list[tuple[str, Any]]) -> Table:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key stands there twice")
    return table


def no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def read_toml(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise Unusable(f"{path}: cannot be read: {problem.strerror}") from None
    except ValueError as problem:
        raise Unusable(f"{path}: {problem}") from None


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


def read_rules(path: Path) -> Table:
    """Requirements: [gate] and one [[suite]] for every suite that must have passed."""
    body = read_toml(path)
    if unknown := sorted(set(body) - {"gate", "suite"}):
        raise Unusable(f"{path}: {unknown[0]}: unknown key. Known: gate, suite.")
    limits = {"max_age_hours": int, "max_waiver_days": int}
    gate = {"max_age_hours": 24, "max_waiver_days": 90, **entry(path, "gate", body.get("gate", {}), {}, limits)}
    suites = body.get("suite", [])
    if not isinstance(suites, list) or not suites:
        raise Unusable(f"{path}: suite: expected at least one [[suite]]: a gate that asks for nothing is none")
    for number, suite in enumerate(suites):
        entry(path, f"suite[{number}]", suite, ASKED, MAY)
        if suite["seeds"] < 1 or suite["checks"] < 1:
            raise Unusable(f"{path}: suite[{number}]: expected at least one seed and one check")
        band = suite.get("samples_per_second", [0, 0])
        if len(band) != 2 or not all(type(end) in (int, float) and end >= 0 for end in band) or band[0] > band[1]:
            raise Unusable(f"{path}: suite[{number}].samples_per_second: expected [least, most], got {band}")
    return {**gate, "suite": suites}


def read_waivers(path: Path | None) -> list[Table]:
    body = read_toml(path) if path is not None else {}
    if unknown := sorted(set(body) - {"waiver"}):
        raise Unusable(f"{path}: {unknown[0]}: unknown key. Known: waiver.")
    found = body.get("waiver", [])
    if not isinstance(found, list):
        raise Unusable(f"{path}: waiver: expected [[waiver]]")
    return [entry(path or Path(), f"waiver[{n}]", item, WAIVER, {"seed": int}) for n, item in enumerate(found)]
