"""``lvmcheck list``: the checks or causes that exist, by subject."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import groupby

from lvmcheck.commands._exit import PASSED
from lvmcheck.errors import InputError, nearest
from lvmcheck.text.fit import first_sentence
from lvmcheck.text.say import say

HELP = "what exists: checks or causes, by subject"
EXAMPLE = "lvmcheck list checks"
WHAT = ("checks", "causes")
Row = tuple[str, bool, str, str]
"""Subject, whether it is universal, name and first sentence."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", default="checks", metavar="checks|causes", help="which (default: checks)")


def run(options: argparse.Namespace) -> int:
    if options.what not in WHAT:
        raise InputError(f"{options.what!r}", "expected checks or causes", fix=nearest(options.what, WHAT))
    rows = sorted(_checks() if options.what == "checks" else _causes(), key=lambda row: (row[0], not row[1], row[2]))
    width = max(len(name) for _, _, name, _ in rows)
    for subject, group in groupby(rows, key=lambda row: row[0]):
        say(subject)
        for _, universal, name, what in group:
            say(f"{'*' if universal else ' ':>3} {name:{width}}  {what}")
    if options.what == "checks":
        say("* universal: judged on any run (lvmcheck check RUN); the others where a suite names them")
    return PASSED


def _checks() -> Iterator[Row]:
    from lvmcheck.checks.protocol import check_names, load_check

    for name in check_names():
        kind = load_check(name)
        yield kind.__module__.split(".")[-2], kind.universal, name, first_sentence(kind.__doc__ or "")


def _causes() -> Iterator[Row]:
    from lvmcheck.causes.protocol import cause_names, load_cause

    for name in cause_names():
        cause = load_cause(name)
        yield cause.subject(), False, name, first_sentence(cause.about())
