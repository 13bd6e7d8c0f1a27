"""``lvmcheck compare``: two runs, or two git revisions of a suite, side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lvmcheck.commands._exit import FAILED, PASSED, UNDECIDED
from lvmcheck.errors import InputError
from lvmcheck.text.say import complain, say, say_json

if TYPE_CHECKING:
    from lvmcheck.comparison.sides import Side

HELP = "two runs, or two git revisions of a suite, side by side"
EXAMPLE = "lvmcheck compare main HEAD --suite suites/amn_790k --seeds 0,1,2"
UNTESTABLE = 125
"""What git bisect calls a revision that cannot be tested."""
EXITS = {
    PASSED: "not worse",
    FAILED: "worse",
    UNDECIDED: "undecided (repeats are needed), or internal error",
    UNTESTABLE: "with --bisect: cannot be told",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", help="a run, or with --suite a git revision: the good one")
    parser.add_argument("b", help="another: the one in question")
    parser.add_argument("--suite", type=Path, help="train this suite at both git revisions")
    parser.add_argument("--seeds", metavar="LIST", help="with --suite: seeds to train, such as 0,1,2")
    parser.add_argument("--profile", help="with --suite: profile of the suite")
    parser.add_argument("--noise", type=float, metavar="SD", help="spread between repeats, where there are none")
    parser.add_argument("--alone", action="store_true", help="do not look for repeats with other seeds")
    parser.add_argument("--bisect", action="store_true", help="exit 125 where nothing can be said (git bisect run)")
    parser.add_argument("--json", action="store_true", help="the comparison as JSON")


def run(options: argparse.Namespace) -> int:
    from lvmcheck.comparison.report import compare, screen, to_json
    from lvmcheck.run.event_lines import spell

    if options.suite is None and (options.seeds or options.profile):
        raise InputError("--seeds" if options.seeds else "--profile", "expected --suite beside it")
    try:
        found = compare(_side(options.a, options), _side(options.b, options), noise=options.noise)
    except InputError as problem:
        if not options.bisect:
            raise
        say(problem)
        return UNTESTABLE
    if options.json:
        say_json(spell(to_json(found)), default=str)
    else:
        say(*screen(found))
    if found.worse is None:
        if not options.bisect:
            complain(f"undecided: {_next(options)}")
        return UNTESTABLE if options.bisect else UNDECIDED
    return FAILED if found.worse else PASSED


def _next(options: argparse.Namespace) -> str:
    """What to run so that the comparison can be decided."""
    if options.suite is not None:
        return f"lvmcheck compare {options.a} {options.b} --suite {options.suite} --seeds 0,1,2"
    return "train both with more seeds into folders beside these, or give the spread between repeats: --noise SD"


def _side(name: str, options: argparse.Namespace) -> Side:
    if options.suite is not None:
        from lvmcheck.comparison.revisions import side_at

        return side_at(name, options.suite, seeds=options.seeds, profile=options.profile)
    from lvmcheck.comparison.sides import side

    return side(name, alone=options.alone)
