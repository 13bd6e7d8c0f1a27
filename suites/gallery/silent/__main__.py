"""Judges the silent-error programs and prints the figures of docs/gallery-silent.md.

``python -m suites.gallery.silent [--only NAME] [--jobs N] [--all]``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from suites.gallery.silent._judging import Figures, Judged, figures, judge_all


def lines(judged: Sequence[Judged], every: bool = False) -> Iterable[str]:
    """The tables: figures, then each program that lost, or all."""
    yield from _numbers(figures(judged))
    yield ""
    yield "| program | fault | result | step | failed (warned) | first cause and its tie | right |"
    yield "|---|---|---|---|---|---|---|"
    for item in judged:
        result = loss_of(item)
        if result or every:
            said = ", ".join([*item.concluded.failed, *(f"preflight: {name}" for name in item.preflight or ())])
            warned = f" ({', '.join(item.concluded.warned)})" if item.concluded.warned else ""
            right = ", ".join(sorted(item.right)) or ("" if item.healthy else f"no name for {', '.join(item.means)}")
            step = "" if item.step is None else str(item.step)
            cells = (item.name, item.fault, result or "right", step, said + warned, item.cause, right)
            yield f"| {' | '.join(cell.strip().replace('|', '/') for cell in cells)} |"


def loss_of(item: Judged) -> str:
    """How the program was lost; empty where it was not."""
    if item.concluded.error:
        return f"error: {item.concluded.error.splitlines()[0][:120]}"
    if item.healthy:
        return "false alarm" if item.caught else "warned of" if item.warned else ""
    if not item.caught:
        return ("only warned of" if item.warned else "missed") + (", right cause" if item.named else "")
    return "" if item.named else "wrong cause"


def _numbers(found: Figures) -> Iterable[str]:
    yield "| | programs | share |"
    yield "|---|---|---|"
    for name, count, of in (
        ("broken: caught (a check fails)", found.caught, found.broken),
        ("broken: only warned of", found.warned, found.broken),
        ("broken: right cause first or in the tie of the first", found.named, found.broken),
        ("broken: a failure rests on the watch", len(found.steps), found.broken),
        ("healthy: false alarm", found.failed, found.healthy),
        ("healthy: only warned of", found.healthy_warned, found.healthy),
        ("ended with an error", found.crashed, found.broken + found.healthy),
    ):
        yield f"| {name} | {count} of {of} | {100 * count / of if of else 0:.0f} % |"
    yield ""
    at_most = max(found.steps, default=0)
    yield f"Step of the first failure that rests on the watch: {found.median:g} in the median, {at_most} at most."


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m suites.gallery.silent", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", default=[], help="this program; may be repeated")
    parser.add_argument("--jobs", type=int, default=2, help="processes; default: %(default)s")
    parser.add_argument("--all", action="store_true", help="show every program, not only those that are lost")
    options = parser.parse_args(arguments)
    judged = judge_all(options.only, options.jobs)
    if not judged:
        print(f"no such program: {', '.join(options.only)}", file=sys.stderr)
        return 2
    print("\n".join(lines(judged, options.all)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
