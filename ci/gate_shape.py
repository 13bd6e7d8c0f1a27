"""The shape of a report, in full: a field that is missing, unknown or of another type refuses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gate_finding import Reason, Refused

FORMAT = 4
Table = dict[str, Any]
Shape = Mapping[str, tuple[type, ...]]
NONE, SHOWN = type(None), 40
NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def fields(*needed: tuple[str, type], **kinds: tuple[type, ...]) -> Shape:
    return {**{name: (kind,) for name, kind in needed}, **kinds}


REPORT = fields(
    *((name, str) for name in ("lvmcheck", "python", "platform", "session", "started", "ended", "status", "nonce")),
    *((name, list) for name in ("arguments", "files", "troubles", "suites", "trained")),
    *(("format", int), ("exit_status", int), ("tests", dict)),
    seconds=(int, float),
    git=(dict, NONE),
    git_after=(dict, NONE),
)
GIT = fields(("commit", str), ("dirty", bool), ("changed", list))
FILE = fields(("path", str), ("blob", str))
TESTS = fields(*((name, int) for name in ("collected", "deselected", "passed", "failed", "skipped", "errors")))
TROUBLE = fields(("where", str), ("when", str), ("message", str))
SUITE = fields(
    *((name, str) for name in ("name", "about", "file", "digest", "profile", "device", "trainer")),
    *((name, list) for name in ("seeds", "overridden", "runs", "checks", "causes")),
    *(("sequential", bool), ("declared", int)),
)
RUN = fields(
    *((name, str) for name in ("folder", "required_key", "config", "source", "device", "nonce", "status", "ended")),
    *(("seed", int), ("own", bool), ("last_epoch", int), ("step", int), ("inputs", dict), ("versions", dict)),
    **dict.fromkeys(("key", "used_device", "created", "reused"), (str, NONE)),
    epochs=(int, NONE),
    opened=(dict, NONE),
    samples_per_second=(int, float, str, NONE),
)
TRAINED = fields(("node", str), ("training", str), ("verdict", dict), run=(str, NONE))
CHECK = fields(("verdict", dict), ("node", str), ("pytest", str), ("attempts", int), seconds=(int, float))
VERDICT = fields(
    *(("name", str), ("check", str), ("outcome", dict), ("expected_failure", bool), ("message", str)),
    source=(str, NONE),
    seed=(int, str),
    asked=(dict, NONE),
)
ASKED = fields(("file", str), line=(int, NONE))
OUTCOME = fields(
    *(("status", str), ("reason", str), ("awaits", str), ("evaluated", int), ("abort", bool)),
    finding=(dict, NONE),
    why=(str, NONE),
)
FINDING = fields(
    *(("code", str), ("unit", str), ("phrase", str), ("bounds", list), ("evidence", list)),
    metric=(str, NONE),
    measured=(int, float, str, bool, NONE),
    epoch=(int, NONE),
    step=(int, NONE),
)
BOUND = fields(("kind", str), ("source", str), value=(int, float, str, bool))
STATUSES = ("passed", "failed", "warning", "pending", "not applicable", "not recorded", "error")
WHYS = (
    *("awaits", "not run", "not reached", "run ended", "not needed", "not recorded", "not in the format", "other data"),
    *("never evaluated", "check crashed", "same runs", "run died", "unexpected", "other"),
)
PYTEST = ("passed", "failed", "skipped", "deselected", "nothing")
RUN_STATUSES = ("finished", "stopped", "died", "not started", "open")
KINDS = ("floor", "ceiling", "equal", "abort")


def shaped(path: str, body: Table) -> Table:
    """The report, when every field that decides something is there and nothing else is."""
    fits(body, REPORT, f"{path}: report")
    fits(body["tests"], TESTS, f"{path}: tests")
    for key in ("git", "git_after"):
        if body[key] is not None:
            fits(body[key], GIT, f"{path}: {key}")
    for number, file in enumerate(body["files"]):
        fits(file, FILE, f"{path}: files[{number}]")
    for number, trained in enumerate(body["trained"]):
        fits(trained, TRAINED, f"{path}: trained[{number}]")
        fits_verdict(trained["verdict"], f"{path}: trained[{number}].verdict")
    for number, trouble in enumerate(body["troubles"]):
        fits(trouble, TROUBLE, f"{path}: troubles[{number}]")
    for suite in body["suites"]:
        fits(suite, SUITE, f"{path}: suite")
        fits_suite(suite, f"{path}: {suite['file']}")
    return body


def fits_suite(suite: Table, where: str) -> None:
    if not all(type(seed) is int for seed in suite["seeds"]):
        raise Refused(Reason("wrong_type", f"{where}: seeds", "integers", str(suite["seeds"])[:SHOWN]))
    if not all(type(key) is str for key in suite["overridden"]):
        raise Refused(Reason("wrong_type", f"{where}: overridden", "names", str(suite["overridden"])[:SHOWN]))
    for number, run in enumerate(suite["runs"]):
        fits(run, RUN, f"{where}: runs[{number}]")
        known(run["status"], RUN_STATUSES, f"{where}: runs[{number}].status")
    for number, check in enumerate(suite["checks"]):
        fits_check(check, f"{where}: checks[{number}]")


def fits_check(check: Table, where: str) -> None:
    """A check with its verdict, down to the bounds of its finding."""
    fits(check, CHECK, where)
    known(check["pytest"], PYTEST, f"{where}.pytest")
    fits_verdict(check["verdict"], f"{where}.verdict")


def fits_verdict(verdict: Table, where: str) -> None:
    """A verdict, down to the bounds of its finding."""
    fits(verdict, VERDICT, where)
    outcome = verdict["outcome"]
    fits(outcome, OUTCOME, f"{where}.outcome")
    known(outcome["status"], STATUSES, f"{where}.outcome.status")
    if outcome["why"] is not None:
        known(outcome["why"], WHYS, f"{where}.outcome.why")
    if type(verdict["seed"]) is not int:
        known(verdict["seed"], ("seeds",), f"{where}.seed")
    if verdict["asked"] is not None:
        fits(verdict["asked"], ASKED, f"{where}.asked")
    if outcome["finding"] is not None:
        fits(outcome["finding"], FINDING, f"{where}.outcome.finding")
        for number, bound in enumerate(outcome["finding"]["bounds"]):
            fits(bound, BOUND, f"{where}.outcome.finding.bounds[{number}]")
            known(bound["kind"], KINDS, f"{where}.outcome.finding.bounds[{number}].kind")


def fits(table: object, shape: Shape, where: str) -> None:
    if not isinstance(table, dict):
        raise Refused(Reason("wrong_type", where, "an object", type(table).__name__))
    for key, kinds in shape.items():
        if key not in table or type(table[key]) not in kinds:
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise Refused(Reason("wrong_type", f"{where}.{key}", expected, str(table.get(key))[:SHOWN]))
    if unknown := sorted(set(table) - set(shape)):
        raise Refused(Reason("unknown_field", where, got=unknown[0][:SHOWN]))


def known(value: str, words: tuple[str, ...], where: str) -> None:
    if value not in words:
        raise Refused(Reason("unknown_value", where, ", ".join(words), value[:SHOWN]))
