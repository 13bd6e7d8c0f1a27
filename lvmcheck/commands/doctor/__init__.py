"""``lvmcheck doctor``: the machine in one screen, and what on it would spoil results."""

from __future__ import annotations

import argparse
from pathlib import Path

from lvmcheck.commands._exit import FAILED, PASSED
from lvmcheck.text.say import say, say_json

HELP = "the machine in one screen: what would spoil results, and what to do"
EXAMPLE = "lvmcheck doctor --no-torch"
EXITS = {PASSED: "nothing would spoil results", FAILED: "something would spoil results"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-torch", dest="torch", action="store_false", help="do not import torch")
    parser.add_argument("--lvm-dir", type=Path, default=Path(".lvmcheck"), metavar="PATH", help="where runs are kept")
    parser.add_argument("--json", action="store_true", help="the findings as JSON")


def run(options: argparse.Namespace) -> int:
    from lvmcheck.commands.doctor.examine import examine
    from lvmcheck.commands.doctor.screen import body, screen

    found = examine(Path.cwd(), options.lvm_dir, ask_torch=options.torch)
    if options.json:
        say_json(body(found))
    else:
        say(*screen(found))
    return FAILED if any(item.spoils for item in found) else PASSED
