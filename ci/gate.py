"""Decides whether a commit may pass, from JSON reports of lvmcheck alone: python ci/gate.py REPORT.json ...

    export LVMCHECK_NONCE=$(python ci/gate.py start --base origin/main)  # before the session, which writes it down
    python ci/gate.py REPORT.json --base origin/main --nonce "$LVMCHECK_NONCE"

Standard library and git only: it runs where nothing is installed, and takes nothing from the code that it judges. Exit
codes: 0 accepted, 1 refused (with the reasons), 2 its own requirements or waivers cannot be used.

Nonce and digest protect against accidents, stale runs and edits, not against somebody who can run code on the runner:
let this file and its requirements come from a branch that a pull request cannot change (ci/README.md).
"""

from __future__ import annotations

import argparse
import datetime
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gate_base import loosenings, of_data
from gate_files import read_report, read_rules, read_waivers
from gate_finding import FIXES, Reason, Refused, Unusable
from gate_git import Tree, resolved, tracked_path
from gate_report import of_checks, of_session, of_suite, same
from gate_selftest import of_selftests, read_selftest
from gate_shape import Table
from gate_sign import read_key, sign
from gate_tree import of_files, of_opened, of_suite_text

SCREEN, WIDTH, FIXED = 30, 200, 3
NONCE = "LVMCHECK_NONCE"
NO_BASE = "none"
BASE = "-base-"
"""In a nonce: what stands before the commit that the base was when the nonce was made."""


@dataclass(frozen=True)
class Question:
    """What is to be decided.

    Args:
        commit, nonce: the commit to judge, and what its sessions were handed.
        rules: requirements; ``waivers`` accepted failures and loosenings.
        head, base: the trees of the commit and of the branch that it goes to; None where there is none to compare.
        require: the requirements file as the trees name it.
    """

    commit: str
    nonce: str
    rules: Table
    waivers: Sequence[Table]
    head: Tree | None = None
    base: Tree | None = None
    require: str | None = None


# -- deciding ----------------------------------------------------------------------------------------------------------
def decide(reports: Sequence[Table], question: Question, now: Any, selftests: Sequence[Table] = ()) -> Iterator[Reason]:
    """Every reason to refuse; none when the commit may pass."""
    rules = question.rules
    failures = [waiver for waiver in question.waivers if "check" in waiver]
    yield from of_waivers(question.waivers, rules["max_waiver_days"], now)
    oldest = datetime.timedelta(hours=rules["max_age_hours"])
    for report in reports:
        yield from of_session(report, question.commit, question.nonce, now, oldest)
        if question.head is not None:
            yield from of_files(report, question.head)
        for suite in report["suites"]:
            required = [rule for rule in rules["suite"] if same(rule, suite)]
            yield from of_checks(suite, required[0] if required else None, failures)
            if question.head is not None:
                yield from of_suite_text(suite, question.head)
                yield from of_opened(suite, rules, question.head)
    for rule in rules["suite"]:
        yield from of_rule(reports, rule, question.nonce)
    yield from of_selftests(selftests, reports, question)
    if question.head is not None and question.base is not None:
        asked = loosenings(question.base, question.head, rules, question.require)
        for reason in (*asked, *of_data(reports, question.base, question.head, rules)):
            if not any(accepts(waiver, reason) for waiver in question.waivers):
                yield reason


def of_rule(reports: Sequence[Table], rule: Table, nonce: str) -> Iterator[Reason]:
    found = [suite for report in reports for suite in report["suites"] if same(rule, suite)]
    if not found:
        others = {s["profile"] for report in reports for s in report["suites"] if s["file"] == rule["file"]}
        only = f", only {', '.join(sorted(others))}" if others else ""
        yield Reason("suite_missing", rule["file"], rule["profile"], only)
    for suite in found:
        yield from of_suite(suite, rule, nonce)


def accepts(waiver: Table, reason: Reason) -> bool:
    """Whether the waiver of a loosening names it and the very value that is now there."""
    named = (waiver.get("code"), waiver.get("subject"), waiver.get("got"))
    return named == (reason.code, reason.subject, str(reason.got))


def of_waivers(waivers: Sequence[Table], longest: int, now: Any) -> Iterator[Reason]:
    for waiver in waivers:
        what = waiver.get("subject") or f"{waiver['suite']} {waiver['check']}"
        who, left = f"waiver of {what} ({waiver['owner']})", (waiver["expires"] - now.date()).days
        if left < 0:
            yield Reason("waiver_expired", who, got=waiver["expires"])
        elif left > longest:
            yield Reason("waiver_too_long", who, longest, left)


# -- the command -------------------------------------------------------------------------------------------------------
def this_commit() -> str | None:
    """What the CI says is being judged, else the commit of the checkout."""
    named = os.environ.get("GITHUB_SHA") or os.environ.get("CI_COMMIT_SHA")
    return named or resolved("HEAD")


def screen(reasons: Sequence[Reason]) -> list[str]:
    """The reasons on one screen, each on one line with its code; nothing in them is a command to a terminal."""
    flat = list(dict.fromkeys((plain(reason.sentence()), reason.code) for reason in reasons))
    cut = [(text if len(text) <= WIDTH else text[: WIDTH - 1] + "…", code) for text, code in flat]
    fixes = list(dict.fromkeys(FIXES[reason.code] for reason in reasons if reason.code in FIXES))[:FIXED]
    lines = [f"  {text} [{code}]" for text, code in cut[: SCREEN - 2 - len(fixes)]]
    more = [f"  and {len(flat) - len(lines)} more"] if len(flat) > len(lines) else []
    return [*lines, *more, *(f"  to do: {fix}" for fix in fixes)]


def plain(text: str) -> str:
    """One line of printable characters, which no runner obeys."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (": " + flat[1:] if flat.startswith("::") else flat).replace("##", "# #")


def start(arguments: Sequence[str]) -> int:
    """Make the nonce of a session: print it, and write it to a file where one is named."""
    parser = argparse.ArgumentParser(prog="gate.py start", description="the nonce that sessions are to be handed")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="outside the checkout")
    parser.add_argument("--base", metavar="REF", help="the branch that the gate will compare with, as it is now")
    options = parser.parse_args(arguments)
    nonce = secrets.token_hex(16)
    if options.base not in (None, NO_BASE):
        commit = resolved(options.base)
        if commit is None:
            print(f"gate: the base {plain(options.base)!r} is no commit of this repository [unusable]", file=sys.stderr)
            return 2
        nonce += f"{BASE}{commit}"
    if options.file is not None:
        try:
            number = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as problem:
            print(f"gate: {plain(str(options.file))}: {problem.strerror} [unusable]", file=sys.stderr)
            return 2
        os.write(number, f"{nonce}\n".encode())
        os.close(number)
    print(nonce)
    return 0


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gate.py", description="may this commit pass?")
    add = parser.add_argument
    add("reports", nargs="+", type=Path, metavar="REPORT", help="what pytest --lvm-json has written")
    add("--selftest", type=Path, action="append", default=[], metavar="FILE", help="lvmcheck selftest SUITE --json")
    here = Path(__file__).parent
    add("--require", type=Path, default=here / "gate.toml", metavar="FILE", help="what must have passed")
    add("--waivers", type=Path, metavar="FILE", help="failures and loosenings that are accepted for a time")
    add("--commit", default=this_commit(), help="the commit to judge (default: that of the CI, or HEAD)")
    add(
        "--base", metavar="REF", help='the branch it goes to; requirements and waivers are read there ("none": nowhere)'
    )
    add("--nonce", default=os.environ.get(NONCE), help=f"what the sessions were handed (default: ${NONCE})")
    add("--key", type=Path, metavar="FILE", help="refuse reports that gate.py sign has not signed with this key")
    return parser.parse_args(words)


def head_of(commit: str) -> Tree | None:
    """The tree of the commit that is judged."""
    return Tree(commit)


def question_of(options: argparse.Namespace) -> Question:
    """Everything that is needed to decide, from the base branch where it is tracked there.

    Raises:
        Unusable: it cannot be had.
    """
    if not options.commit:
        raise Unusable("no commit to judge: run it in the git repository, or give --commit SHA")
    if not options.nonce:
        raise Unusable(f"no nonce: hand the sessions one (python ci/gate.py start) and give --nonce or ${NONCE}")
    if not options.base:
        raise Unusable('no base to compare with: give --base REF, or "none" where there is no other branch')
    if options.base == NO_BASE:
        rules, waivers = read_rules(options.require), read_waivers(options.waivers)
        return Question(options.commit, options.nonce, rules, waivers, head_of(options.commit))
    commit = resolved(options.base)
    if commit is None:
        raise Unusable(f"the base {options.base!r} is no commit of this repository: fetch it first")
    then = options.nonce.partition(BASE)[2]
    if then and then != commit:
        raise Unusable(f"the base {options.base!r} is {commit} and was {then} when the session began: it was moved")
    base, head = Tree(commit), head_of(options.commit)
    require, waived = tracked_path(options.require), options.waivers and tracked_path(options.waivers)
    rules = read_rules(options.require, base, require)
    waivers = read_waivers(options.waivers, base, waived)
    return Question(options.commit, options.nonce, rules, waivers, head, base, require)


def readable(read: Callable[[Path], Table], paths: Sequence[Path], reasons: list[Reason]) -> Iterator[Table]:
    """What can be read; why the others cannot is added to the reasons."""
    for path in paths:
        try:
            yield read(path)
        except Refused as problem:
            reasons.append(problem.reason)


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["start"], ["sign"]):
        return (start if words[0] == "start" else sign)(words[1:])
    options = arguments_of(words)
    try:
        return decided(options)
    except Unusable as problem:
        print(f"gate: {plain(str(problem))} [unusable]", file=sys.stderr)
        return 2


def decided(options: argparse.Namespace) -> int:
    """Decide and say why; the exit code.

    Raises:
        Unusable: the requirements, the waivers or the repository cannot be used.
    """
    key = None if options.key is None else read_key(options.key)
    question = question_of(options)
    reasons: list[Reason] = []
    reports = list(readable(partial(read_report, key=key), options.reports, reasons))
    selftests = list(readable(partial(read_selftest, key=key), options.selftest, reasons))
    reasons += decide(reports, question, datetime.datetime.now(datetime.UTC), selftests)
    if reasons:
        print(f"refused: {options.commit[:12]} may not pass")
        print("\n".join(screen(reasons)))
        return 1
    checks = sum(len(suite["checks"]) for report in reports for suite in report["suites"])
    print(f"accepted: {options.commit[:12]}, {len(question.rules['suite'])} required suites, {checks} checks")
    for waiver in question.waivers:
        what = waiver.get("subject") or f"{waiver['suite']} {waiver['check']}"
        print(f"  waived: {plain(what)} by {plain(waiver['owner'])} until {waiver['expires']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
