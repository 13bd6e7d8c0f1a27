"""``lvmcheck runs``: which runs train or wait, where, and how far they are; and stops them."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path

from lvmcheck.checks.wording import plural
from lvmcheck.commands._exit import PASSED
from lvmcheck.errors import InputError, nearest
from lvmcheck.launch.home import USUAL
from lvmcheck.launch.standing import Standing, ask_to_stop, standings
from lvmcheck.text.say import say

HELP = "which runs train or wait, where, and how far they are; --cancel stops them"
EXAMPLE = "lvmcheck runs --all"
REASON = "lvmcheck runs --cancel"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lvm-dir", metavar="PATH", type=Path, default=Path(USUAL), help=f"default: {USUAL}")
    parser.add_argument("--all", action="store_true", help="runs that are over, too")
    parser.add_argument(
        "--cancel",
        metavar="RUN",
        nargs="+",
        default=[],
        help="ask these runs to save and stop: the end of a path, such as toy or seed0-1a2b3c4d; all with 'all'",
    )


def run(options: argparse.Namespace) -> int:
    home: Path = options.lvm_dir
    if not (home / "runs").is_dir():
        raise InputError(home, "expected a folder of runs, found none", fix="--lvm-dir PATH names another.")
    known = list(standings(home))
    if options.cancel:
        return _cancel(options.cancel, [each for each in known if each.active], home)
    shown = known if options.all else [each for each in known if each.active]
    rows = [_row(each, home) for each in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    over = Counter(each.stand.value for each in known if not each.active)
    rest = ", ".join(f"{count} {stand}" for stand, count in sorted(over.items()))
    say(f"{plural(sum(each.active for each in known), 'run')} training" + (f"; {rest}" if rest else ""))
    return PASSED


def _row(each: Standing, home: Path) -> tuple[str, ...]:
    epochs = f"/{each.epochs}" if each.epochs is not None else ""
    return _name(each, home), each.stand.value, f"epoch {each.epoch}{epochs}", _ago(each.since), each.place


def _name(each: Standing, home: Path) -> str:
    return os.path.relpath(each.folder, home / "runs")


def _ago(seconds: float) -> str:
    """A length of time in one unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _cancel(names: list[str], active: list[Standing], home: Path) -> int:
    """Ask each to stop, once all names were found."""
    chosen: dict[Path, Standing] = {}
    for name in names:
        found = [each for each in active if name in ("all", *_ends(_name(each, home)))]
        if not found:
            known = [_name(each, home) for each in active]
            fix = nearest(name, known) if known else "None trains or waits."
            raise InputError(f"--cancel {name}", "no run that trains has that name", fix=fix)
        chosen |= {each.folder: each for each in found}
    for folder, each in chosen.items():
        ask_to_stop(folder, REASON)
        say(f"{_name(each, home)} was asked to save and stop")
    return PASSED


def _ends(name: str) -> list[str]:
    """What a run may be called: its suite, its folder, its seed and key, or all of it."""
    path = Path(name)
    return [name, path.name, path.name.partition("-")[2], str(path.parent)]
